-- Notifications of new jobs, sent by a bridge. A transaction that notifies holds a lock while it commits, for which all
-- others that notify wait, each for the disk. So while many transactions insert jobs, a bridge promises for a second
-- at a time to notify for them: they leave a row in job_notifications (triggers/jobs.sql), and the bridge notifies of
-- those of many transactions at once.

-- new_job_payload: of the notification of one job. Without SET and with an expression for a body, so that Postgres
-- inlines it.
CREATE OR REPLACE FUNCTION public.new_job_payload(p_job uuid, p_session uuid, p_priority integer, p_created_at timestamptz)
RETURNS text
LANGUAGE sql STABLE
RETURN json_build_object('job_id', p_job, 'session_id', p_session, 'priority', p_priority, 'created_at', p_created_at)::text;

-- promise_relay: promises that this bridge notifies, for p_time from now, of the jobs whose inserts leave that to it.
-- False: another bridge does, or the table has become so large that it takes long to read: an old transaction keeps
-- vacuum from removing the dead rows.
CREATE OR REPLACE FUNCTION public.promise_relay(p_bridge text, p_time interval) RETURNS boolean
LANGUAGE sql SET search_path = ''
AS $$
    WITH promised AS (
        INSERT INTO public.notification_relay AS r (bridge, relays_until)
        SELECT p_bridge, clock_timestamp() + p_time WHERE pg_relation_size('public.job_notifications') < 4000000
        ON CONFLICT (one) DO UPDATE SET bridge = excluded.bridge, relays_until = excluded.relays_until
        WHERE r.bridge = excluded.bridge OR r.relays_until <= clock_timestamp()
        RETURNING r.bridge
    )
    SELECT EXISTS (SELECT FROM promised)
$$;

-- relay_notifications: notifies of up to p_limit jobs whose inserts left that to a bridge. Returns how many.
-- It does not wait for the disk with the lock in its hands: a crash of the server leaves nobody to notify.
CREATE OR REPLACE FUNCTION public.relay_notifications(p_limit integer) RETURNS integer
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    payloads text[];
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    WITH taken AS (
        DELETE FROM public.job_notifications n
        WHERE n.ctid = ANY (ARRAY(SELECT w.ctid FROM public.job_notifications w LIMIT p_limit FOR UPDATE SKIP LOCKED))
        RETURNING n.job_id, n.session_id, n.priority, n.created_at
    )
    SELECT array_agg(public.new_job_payload(t.job_id, t.session_id, t.priority, t.created_at)) INTO payloads FROM taken t;
    PERFORM pg_notify('new_job', p.payload) FROM unnest(payloads) AS p (payload);
    RETURN coalesce(cardinality(payloads), 0);
END $$;

-- relay_state: `promised`: a bridge has promised to relay now. `after`: a transaction that began to write before the
-- end of the last promise, and so may still leave a notification, has a lower number than this. `drained`: all those
-- have ended. To be called again with the last `after`; NULL the first time.
-- The number is taken after the promise has ended: pg_snapshot_xmax would not do, as a transaction that is still
-- running may have a higher one.
CREATE OR REPLACE FUNCTION public.relay_state(p_after xid8)
RETURNS TABLE (promised boolean, drained boolean, after xid8)
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    IF EXISTS (SELECT FROM public.notification_relay r WHERE r.relays_until > clock_timestamp()) THEN
        RETURN QUERY SELECT true, false, NULL::xid8;
    ELSIF p_after IS NULL THEN
        RETURN QUERY SELECT false, false, pg_current_xact_id();
    ELSE
        RETURN QUERY SELECT false, pg_snapshot_xmin(pg_current_snapshot()) >= p_after, p_after;
    END IF;
END $$;
