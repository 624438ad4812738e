-- Worker processes: they announce what they can run, and one heartbeat per process covers all its jobs.

-- register_worker: a worker process announces its slots, its queues and its actors, and gets a lease. Called again
-- when these change: whether the worker was declared lost does not change with it.
CREATE OR REPLACE FUNCTION public.register_worker(
    p_worker uuid, p_name text, p_slots integer, p_queues text[], p_actor_options jsonb, p_version text, p_lease interval)
RETURNS void
LANGUAGE sql SET search_path = ''
AS $$
    INSERT INTO public.workers (id, name, slots, queues, actors, actor_options, version, lease_expires_at)
    VALUES (p_worker, p_name, p_slots, p_queues, ARRAY(SELECT jsonb_object_keys(p_actor_options) ORDER BY 1),
            p_actor_options, p_version, clock_timestamp() + p_lease)
    ON CONFLICT (id) DO UPDATE SET slots = excluded.slots, queues = excluded.queues, actors = excluded.actors, actor_options = excluded.actor_options;
    SELECT public.keep_actor_queues(false)
$$;

-- heartbeat_worker: renews the worker's lease, and says which of its attempts (p_jobs, p_execs) it must stop. A
-- worker that drains is alive and gets no more jobs. Verdicts:
--   refused    the worker was declared lost: all its attempts were taken from it. This is the only row then
--   lost       this attempt has ended in the database: reclaimed, deleted, or ended by an operator
--   cancelled  an operator wants this job stopped
--   stray      the database has had this attempt as this worker's for longer than a lease, and the worker does not
--              know of it: the answer to its start was lost
CREATE OR REPLACE FUNCTION public.heartbeat_worker(p_worker uuid, p_lease interval, p_draining boolean, p_jobs uuid[], p_execs uuid[])
RETURNS TABLE (verdict text, job_id uuid, exec uuid, fence bigint)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    UPDATE public.workers w SET lease_expires_at = this_moment + p_lease, heartbeat_at = this_moment,
        draining = p_draining
    WHERE w.id = p_worker AND w.stopped_at IS NULL;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'refused', NULL::uuid, NULL::uuid, NULL::bigint;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT CASE WHEN j.id IS NULL THEN 'lost' ELSE 'cancelled' END, h.job, h.exec, j.fence
    FROM unnest(p_jobs, p_execs) AS h (job, exec)
    LEFT JOIN public.coding_jobs j ON j.id = h.job AND j.status || '' = 'processing' AND j.exec = h.exec
    WHERE j.id IS NULL OR j.cancel_requested_at IS NOT NULL
    UNION ALL
    SELECT 'stray', j.id, j.exec, j.fence FROM public.coding_jobs j
    WHERE j.status = 'processing' AND j.worker = p_worker AND j.exec IS NOT NULL AND j.exec <> ALL (p_execs)
      AND j.started_at < this_moment - p_lease;
END $$;

-- worker_key: the key of the session lock that shows others that a worker's link to this server is up.
CREATE OR REPLACE FUNCTION public.worker_key(p_worker uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = ''
AS $$ SELECT hashtextextended(p_worker::text, 0) $$;

-- hold_worker_link: takes the worker's lock for this session, whose end frees it, and listens on the worker's channel
-- for jobs to cancel. To be called on each new link. p_patience: how long the worker may need to reconnect, if that
-- is long.
-- p_pid is this server process as the worker's driver knows it. Behind a pooler it is a different one: sessions are
-- shared there, so no lock is taken, and only the lease counts. Returns whether the lock is held; on a direct link,
-- false means that an earlier session still holds it.
DROP FUNCTION IF EXISTS public.hold_worker_link(uuid, integer);
CREATE OR REPLACE FUNCTION public.hold_worker_link(p_worker uuid, p_pid integer, p_patience interval) RETURNS boolean
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    held boolean := false;
BEGIN
    IF p_pid = pg_backend_pid() THEN
        PERFORM pg_advisory_unlock_all();  -- of an earlier id, or of a call that failed half-way
        held := pg_try_advisory_lock(public.worker_key(p_worker));
        UNLISTEN *;
        EXECUTE format('LISTEN %I', 'mobvibe_' || p_worker);
    END IF;
    UPDATE public.workers w SET linked = held, link_lost_at = NULL, link_patience = p_patience
    WHERE w.id = p_worker AND w.stopped_at IS NULL;
    RETURN held;
END $$;

-- watch_links: declares a worker lost, whatever its lease says, when its lock has been free for p_confirm, or for as
-- long as the worker asked for if that is longer. Its process has ended: if only its link had broken, it would have
-- taken the lock again at once.
-- Returns how many live workers are without their lock: call again soon.
CREATE OR REPLACE FUNCTION public.watch_links(p_confirm interval) RETURNS integer
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    held bigint[];
    without integer;
BEGIN
    IF NOT EXISTS (SELECT FROM public.workers w WHERE w.linked AND w.stopped_at IS NULL) THEN
        RETURN 0;
    END IF;
    SELECT coalesce(array_agg(l.classid::bigint << 32 | l.objid::bigint), '{}') INTO held
    FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database());
    -- A locked row waits for the next call: it must not hold up the other workers.
    UPDATE public.workers w
    SET link_lost_at = CASE WHEN w.link_lost_at IS NULL THEN this_moment END
    FROM (SELECT o.id FROM public.workers o
          WHERE o.linked AND o.stopped_at IS NULL
            AND (o.link_lost_at IS NULL) <> (public.worker_key(o.id) = ANY (held))
          FOR NO KEY UPDATE SKIP LOCKED) changed
    WHERE w.id = changed.id;
    UPDATE public.workers w SET stopped_at = this_moment, stop_reason = 'lost'
    FROM (SELECT o.id FROM public.workers o
          WHERE o.stopped_at IS NULL AND o.link_lost_at <= this_moment - greatest(p_confirm, o.link_patience)
          FOR NO KEY UPDATE SKIP LOCKED) gone
    WHERE w.id = gone.id;
    SELECT count(*) INTO without FROM public.workers w WHERE w.stopped_at IS NULL AND w.link_lost_at IS NOT NULL;
    RETURN without;
END $$;

-- stop_worker: a worker process says that it has ended: it is neither lost nor listed any more.
CREATE OR REPLACE FUNCTION public.stop_worker(p_worker uuid) RETURNS void
LANGUAGE sql SET search_path = ''
AS $$
    UPDATE public.workers SET stopped_at = clock_timestamp(), stop_reason = 'stopped'
    WHERE id = p_worker AND stopped_at IS NULL;
    SELECT public.keep_actor_queues(false)
$$;

-- drain_worker: an operator wants a worker process to take no more jobs, until it is resumed; those that it has, it runs to
-- their end. It is notified, and obeys with its next heartbeat. One that drains already stays as it is. Returns true; NULL:
-- no such worker is registered now.
CREATE OR REPLACE FUNCTION public.drain_worker(p_worker uuid, p_by text DEFAULT current_user, p_reason text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    worker_name text;
BEGIN
    UPDATE public.workers w SET drain_requested_at = clock_timestamp()
    WHERE w.id = p_worker AND w.stopped_at IS NULL AND w.drain_requested_at IS NULL
    RETURNING w.name INTO worker_name;
    IF FOUND THEN
        INSERT INTO public.operator_audit (action, target, done_by, reason) VALUES ('drain_worker', worker_name, p_by, p_reason);
        PERFORM pg_notify('mobvibe_' || p_worker, '');
    END IF;
    RETURN (SELECT true FROM public.workers w WHERE w.id = p_worker AND w.stopped_at IS NULL);
END $$;

-- resume_worker: a worker process that was drained takes jobs again, with its next heartbeat. Returns false; NULL: no such
-- worker is registered now.
CREATE OR REPLACE FUNCTION public.resume_worker(p_worker uuid, p_by text DEFAULT current_user, p_reason text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    worker_name text;
BEGIN
    UPDATE public.workers w SET drain_requested_at = NULL
    WHERE w.id = p_worker AND w.stopped_at IS NULL AND w.drain_requested_at IS NOT NULL
    RETURNING w.name INTO worker_name;
    IF FOUND THEN
        INSERT INTO public.operator_audit (action, target, done_by, reason) VALUES ('resume_worker', worker_name, p_by, p_reason);
        PERFORM pg_notify('mobvibe_' || p_worker, '');
    END IF;
    RETURN (SELECT false FROM public.workers w WHERE w.id = p_worker AND w.stopped_at IS NULL);
END $$;

-- declare_lost: says that a worker's process has ended, for who saw that: its jobs need wait neither for its lease nor
-- for its link. p_ended_by: the job that ended it; NULL where its end pointed at none.
CREATE OR REPLACE FUNCTION public.declare_lost(p_worker uuid, p_ended_by uuid) RETURNS void
LANGUAGE sql SET search_path = ''
AS $$
    UPDATE public.workers w
    SET stopped_at = coalesce(w.stopped_at, clock_timestamp()), stop_reason = coalesce(w.stop_reason, 'lost'),
        ended_by = p_ended_by
    WHERE w.id = p_worker
$$;

-- prune_workers: deletes the rows of processes that ended longer ago than p_age.
CREATE OR REPLACE FUNCTION public.prune_workers(p_age interval) RETURNS void
LANGUAGE sql SET search_path = ''
AS $$ DELETE FROM public.workers WHERE stopped_at < clock_timestamp() - p_age $$;
