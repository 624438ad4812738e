-- The database of a test as the version before left it: its schema 11, where what is newer is in the way of that.

DROP TRIGGER on_job_without_queue ON public.coding_jobs;

DROP TRIGGER on_event_created ON public.session_events;

DROP TRIGGER on_event_committed ON public.session_events;
DROP TRIGGER on_event_moved ON public.session_events;

DROP TRIGGER IF EXISTS a_guard_job ON public.coding_jobs;

DROP FUNCTION public.cancel_attempts, public.keep_actor_queues, public.may_choose_actor, public.mobvibe_close_rights,
    public.release_delay, public.route_new_job, public.take_event_numbers, public.postpone_event_number,
    public.number_events, public.claim_jobs_apart, public.promote_jobs,
    public.route_each, public.prune_finished_jobs, public.guard_job, public.count_jobs, public.mobvibe_database_id,
    public.update_sessions, public.note_refused_session, public.pause_queue, public.resume_queue,
    public.replay_job, public.replay_jobs,
    public.cancel_jobs, public.retry_jobs, public.changed_at, public.is_meant, public.bulk_lock, public.act_on_batch,
    public.session_events_after, public.hold_turn, public.begin_turn, public.end_turn, public.set_turn_progress, public.prolong_session,
    public.add_messages, public.start_call, public.finish_call, public.reserve_usage, public.spend_usage,
    public.enqueue_sent_prompt, public.enqueue_turn, public.open_session, public.send_prompt, public.answer_question,
    public.answer_open_question, public.continue_session, public.cancel_session, public.add_turn_events, public.completed_status,
    public.index_jobs, public.search_jobs, public.words_query, public.job_words, public.job_labels,
    public.plan_bulk_operation, public.start_bulk_operation, public.stop_bulk_operation, public.run_bulk_batch;

ALTER FUNCTION public.begin_manual_attempt() RENAME TO take_by_hand;

DROP TABLE public.session_turns, public.session_messages, public.session_calls, public.session_inbox, public.session_requests;

DROP TABLE public.actor_queues, public.session_streams, public.queue_pauses, public.operator_audit, public.idempotency_keys,
    public.job_search, public.job_search_progress;

DO $$ BEGIN
    EXECUTE regexp_replace(pg_get_functiondef('public.delete_attempts_of_jobs()'::regprocedure),
                           'DELETE FROM public.job_search .*?;', '');
END $$;

-- Its claims knew no pauses. Those that are not below are as they were otherwise.
DO $$
DECLARE
    fn regprocedure;
BEGIN
    FOREACH fn IN ARRAY ARRAY['public.claim_next_job()', 'public.claim_suspects(text, interval, integer)']::regprocedure[] LOOP
        EXECUTE regexp_replace(pg_get_functiondef(fn),
            '(WHERE|AND) \w\.queue <> ALL \(ARRAY\(SELECT p\.queue FROM public\.queue_pauses p\)\)', '');
    END LOOP;
END $$;

ALTER TABLE public.session_events ALTER COLUMN seq SET DEFAULT nextval('public.session_events_seq');

ALTER TABLE public.coding_jobs DROP COLUMN releases, DROP COLUMN retries_from_actor;

DROP TABLE public.bulk_operations;

ALTER TABLE public.job_audit DROP COLUMN copy, DROP COLUMN bulk_operation, DROP CONSTRAINT job_audit_action_check,
    ADD CONSTRAINT job_audit_action_check CHECK (action IN ('retry', 'cancel'));

-- Its claims did not set the number of attempts.
DO $do$ BEGIN
    EXECUTE regexp_replace(replace(pg_get_functiondef('public.change_each'::regproc), 'retries_from_actor = false, ', ''),
                           ',\s*?max_retries = CASE.*?END', '');
END $do$;

CREATE OR REPLACE FUNCTION public.mobvibe_schema_version() RETURNS integer
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$ SELECT 11 $$;

CREATE OR REPLACE FUNCTION public.promote_due_jobs(p_limit integer) RETURNS integer
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    promoted integer;
BEGIN
    -- Mostly there is none, and an UPDATE of no rows still fires the triggers of its table.
    IF NOT EXISTS (SELECT FROM public.coding_jobs s
                   WHERE s.status = 'pending' AND NOT s.due AND s.run_at <= this_moment) THEN
        RETURN 0;
    END IF;
    UPDATE public.coding_jobs j SET due = true
    FROM (SELECT s.id FROM public.coding_jobs s
          WHERE s.status = 'pending' AND NOT s.due AND s.run_at <= this_moment
          ORDER BY s.run_at LIMIT p_limit FOR UPDATE SKIP LOCKED) d
    WHERE j.id = d.id;
    GET DIAGNOSTICS promoted = ROW_COUNT;
    RETURN promoted;
END $$;

CREATE OR REPLACE FUNCTION public.release_jobs(
    p_ids uuid[], p_fences bigint[], p_execs uuid[], p_delays interval[], p_error text DEFAULT NULL)
RETURNS SETOF uuid
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    accepted uuid[];
    cancelled uuid[];
BEGIN
    WITH back AS (
        UPDATE public.coding_jobs j
        SET status = CASE WHEN j.cancel_requested_at IS NULL THEN 'pending' ELSE 'cancelled' END,
            completed_at = CASE WHEN j.cancel_requested_at IS NOT NULL THEN this_moment END,
            run_at = CASE WHEN r.delay > interval '0' THEN this_moment + least(r.delay, interval '10 years') END,
            due = coalesce(r.delay, interval '0') <= interval '0',
            lease_expires_at = NULL, updated_at = this_moment
        FROM unnest(p_ids, p_fences, p_execs, p_delays) AS r (id, fence, exec, delay)
        WHERE j.id = r.id AND j.status || '' = 'processing' AND j.fence = r.fence AND j.exec IS NOT DISTINCT FROM r.exec
        RETURNING j.id, j.fence, j.exec, j.worker, j.claimed_at, j.started_at, j.status, j.session_id
    ), ledger AS (
        INSERT INTO public.job_attempts (job_id, fence, exec, worker, claimed_at, started_at, finished_at, outcome, error)
        SELECT b.id, b.fence, b.exec, b.worker, b.claimed_at, b.started_at, this_moment,
            CASE b.status WHEN 'cancelled' THEN 'cancelled' ELSE 'released' END, p_error
        FROM back b
    )
    SELECT array_agg(b.id), array_agg(b.session_id) FILTER (WHERE b.status = 'cancelled' AND b.session_id IS NOT NULL)
    INTO accepted, cancelled FROM back b;
    PERFORM public.fail_sessions(cancelled, array_fill('cancelled'::text, ARRAY[coalesce(cardinality(cancelled), 0)]));
    RETURN QUERY SELECT unnest(accepted);
END $$;

CREATE OR REPLACE FUNCTION public.claim_jobs(
    p_bridge text, p_limit integer, p_lease interval,
    p_queues text[], p_rooms integer[], p_lows integer[], p_highs integer[], p_afters bigint[])
RETURNS TABLE (job_id uuid, fence bigint, queue text, actor text, priority integer, seq bigint)
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
    SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    ids uuid[];
    claimed bigint;
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    PERFORM public.promote_due_jobs(1000);
    WITH served AS MATERIALIZED (
        SELECT q.queue, array_agg(DISTINCT a.actor) AS actors
        FROM public.workers w CROSS JOIN LATERAL unnest(w.queues) AS q (queue) CROSS JOIN LATERAL unnest(w.actors) AS a (actor)
        WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment AND NOT w.draining AND q.queue = ANY (p_queues)
        GROUP BY q.queue
    ), found AS MATERIALIZED (
        SELECT c.id, c.priority, c.seq, span.room,
               row_number() OVER (PARTITION BY served.queue ORDER BY c.priority DESC, c.seq) AS rank
        FROM unnest(p_queues, p_rooms, p_lows, p_highs, p_afters) AS span (queue, room, low, high, after)
        JOIN served ON served.queue = span.queue
        CROSS JOIN LATERAL (
            SELECT j.id, j.priority, j.seq FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.due AND j.queue = span.queue
              AND j.priority BETWEEN span.low AND span.high AND j.seq > span.after
              AND j.actor = ANY (served.actors) AND (j.run_at IS NULL OR j.run_at <= this_moment)
              AND public.isolated_until(j.crashes, j.retry_count, j.max_retries, this_moment) = '-infinity'
            ORDER BY j.priority DESC, j.seq
            LIMIT least(greatest(span.room, 0), p_limit)
            FOR UPDATE SKIP LOCKED
        ) c
    ), next AS MATERIALIZED (
        SELECT f.id FROM found f WHERE f.rank <= f.room ORDER BY f.priority DESC, f.seq LIMIT p_limit
    )
    SELECT array_agg(n.id) INTO ids FROM next n;
    RETURN QUERY
    WITH claimed AS (
        UPDATE public.coding_jobs j
        SET status = 'processing', fence = j.fence + 1, exec = NULL, worker = NULL, started_at = NULL,
            claimed_at = this_moment, claimed_by = p_bridge, lease_expires_at = this_moment + p_lease,
            cancel_requested_at = NULL, updated_at = this_moment
        FROM unnest(ids) AS r (id) WHERE j.id = r.id
        RETURNING j.id, j.fence, j.queue, j.actor, j.priority, j.seq, j.status
    )
    SELECT c.id, c.fence, c.queue, c.actor, c.priority, c.seq FROM claimed c WHERE c.status = 'processing'
    ORDER BY c.priority DESC, c.seq;
    GET DIAGNOSTICS claimed = ROW_COUNT;
    PERFORM public.check_changed(claimed, ids);
END $$;

CREATE OR REPLACE FUNCTION public.settle_sessions(p_sessions uuid[], p_status text, p_errors text[]) RETURNS void
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    IF coalesce(cardinality(p_sessions), 0) = 0 THEN
        RETURN;
    END IF;
    PERFORM pg_catalog.set_config('search_path', 'public', true);
    PERFORM FROM public.coding_sessions s WHERE s.id = ANY (p_sessions) ORDER BY s.id FOR NO KEY UPDATE;
    UPDATE public.coding_sessions s
    SET status = p_status,
        error_message = CASE p_status WHEN 'failed' THEN r.error END,
        started_at = CASE p_status WHEN 'active' THEN coalesce(s.started_at, this_moment) ELSE s.started_at END,
        completed_at = CASE p_status WHEN 'active' THEN NULL ELSE this_moment END,
        updated_at = this_moment
    FROM (SELECT DISTINCT ON (u.id) u.id, u.error FROM unnest(p_sessions, p_errors) AS u (id, error)) r
    WHERE s.id = r.id AND s.status <> 'expired'
      AND (p_status <> 'active' OR s.status <> 'active')
      AND (p_status <> 'completed' OR NOT EXISTS (
          SELECT FROM public.coding_jobs o WHERE o.session_id = s.id AND o.status IN ('pending', 'processing')));
END $$;

CREATE OR REPLACE FUNCTION public.fail_sessions(p_sessions uuid[], p_errors text[]) RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    IF coalesce(cardinality(p_sessions), 0) = 0 THEN
        RETURN;
    END IF;
    PERFORM public.settle_sessions(p_sessions, 'failed', p_errors);
EXCEPTION
    WHEN lock_not_available OR deadlock_detected OR serialization_failure THEN
        RAISE;  -- tried again as a whole: another time it may get through
    WHEN OTHERS OR assert_failure THEN
        IF cardinality(p_sessions) = 1 THEN
            RAISE LOG 'mobvibe: session % cannot be marked as failed: %', p_sessions[1], SQLERRM;
            RETURN;
        END IF;
        FOR i IN 1 .. cardinality(p_sessions) LOOP
            PERFORM public.fail_sessions(p_sessions[i:i], p_errors[i:i]);
        END LOOP;
END $$;

CREATE OR REPLACE FUNCTION public.end_failed_attempts(
    p_ids uuid[], p_outcomes text[], p_errors text[], p_finals boolean[], p_delays interval[])
RETURNS TABLE (job_id uuid, outcome text, status text)
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH verdict AS (
        SELECT r.id, r.outcome, public.clean_error(r.error) AS error,
            CASE WHEN j.cancel_requested_at IS NOT NULL THEN 'cancelled'
                 WHEN j.retry_count + 1 < j.max_retries AND NOT r.final THEN 'pending'
                 ELSE 'failed' END AS status,
            least(greatest(coalesce(r.delay, public.retry_delay(j.retry_count)), interval '0'), interval '10 years') AS delay
        FROM unnest(p_ids, p_outcomes, p_errors, p_finals, p_delays) AS r (id, outcome, error, final, delay)
        JOIN public.coding_jobs j ON j.id = r.id
    ), ended AS (
        UPDATE public.coding_jobs j
        SET status = v.status, retry_count = j.retry_count + 1, error_message = v.error,
            crashes = j.crashes + (v.outcome = 'crashed')::integer,
            run_at = CASE WHEN v.status = 'pending' THEN this_moment + v.delay ELSE j.run_at END,
            due = v.status <> 'pending',
            completed_at = CASE WHEN v.status <> 'pending' THEN this_moment END,
            lease_expires_at = NULL, updated_at = this_moment
        FROM verdict v WHERE j.id = v.id AND j.status || '' = 'processing'
        RETURNING j.id, j.fence, j.exec, j.worker, j.claimed_at, j.started_at, j.session_id, j.status, v.error,
            CASE v.status WHEN 'cancelled' THEN 'cancelled' ELSE v.outcome END AS outcome
    ), ledger AS (
        INSERT INTO public.job_attempts (job_id, fence, exec, worker, claimed_at, started_at, finished_at, outcome, error)
        SELECT e.id, e.fence, e.exec, e.worker, e.claimed_at, e.started_at, this_moment, e.outcome, e.error FROM ended e
    ), dead AS MATERIALIZED (
        SELECT public.fail_sessions(array_agg(e.session_id ORDER BY e.id), array_agg(e.error ORDER BY e.id))
        FROM ended e WHERE e.status <> 'pending' AND e.session_id IS NOT NULL
    )
    SELECT e.id, e.outcome, e.status FROM ended e CROSS JOIN dead;
END $$;

CREATE OR REPLACE FUNCTION public.register_worker(
    p_worker uuid, p_name text, p_slots integer, p_queues text[], p_actor_options jsonb, p_version text, p_lease interval)
RETURNS void
LANGUAGE sql SET search_path = ''
AS $$
    INSERT INTO public.workers (id, name, slots, queues, actors, actor_options, version, lease_expires_at)
    VALUES (p_worker, p_name, p_slots, p_queues, ARRAY(SELECT jsonb_object_keys(p_actor_options) ORDER BY 1),
            p_actor_options, p_version, clock_timestamp() + p_lease)
    ON CONFLICT (id) DO NOTHING
$$;

CREATE OR REPLACE FUNCTION public.stop_worker(p_worker uuid) RETURNS void
LANGUAGE sql SET search_path = ''
AS $$
    UPDATE public.workers SET stopped_at = clock_timestamp(), stop_reason = 'stopped'
    WHERE id = p_worker AND stopped_at IS NULL
$$;

CREATE OR REPLACE FUNCTION public.route_jobs(p_limit integer)
RETURNS TABLE (actor text, queue text, jobs bigint, routed_to text)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH live AS MATERIALIZED (
        SELECT w.queues, w.actors, w.actor_options FROM public.workers w
        WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment
    ), home AS MATERIALIZED (
        SELECT DISTINCT ON (o.key) o.key AS actor, o.value ->> 'queue' AS queue
        FROM live l CROSS JOIN LATERAL jsonb_each(l.actor_options) AS o
        WHERE (o.value ->> 'queue') = ANY (l.queues) ORDER BY o.key, 2
    ), stuck AS MATERIALIZED (
        (SELECT j.id, j.actor, j.queue FROM public.coding_jobs j
         WHERE j.status = 'pending' AND j.due AND EXISTS (SELECT FROM home h WHERE h.actor = j.actor)
           AND NOT EXISTS (SELECT FROM live l WHERE j.queue = ANY (l.queues) AND j.actor = ANY (l.actors))
         LIMIT p_limit)
        UNION ALL
        (SELECT j.id, j.actor, j.queue FROM public.coding_jobs j
         WHERE j.status = 'pending' AND j.due AND NOT EXISTS (SELECT FROM home h WHERE h.actor = j.actor)
           AND NOT EXISTS (SELECT FROM live l WHERE j.queue = ANY (l.queues) AND j.actor = ANY (l.actors))
         LIMIT p_limit)
    ), routed AS (
        UPDATE public.coding_jobs j SET queue = h.queue, updated_at = this_moment
        FROM stuck s JOIN home h ON h.actor = s.actor
        WHERE j.id = s.id AND j.status = 'pending'
        RETURNING j.id
    )
    SELECT s.actor, s.queue, count(*), h.queue
    FROM stuck s LEFT JOIN home h ON h.actor = s.actor
    GROUP BY s.actor, s.queue, h.queue;
END $$;

CREATE OR REPLACE FUNCTION public.cancel_job(p_id uuid, p_by text DEFAULT current_user, p_reason text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    job public.coding_jobs;
    note text := 'cancelled by ' || p_by || coalesce(': ' || p_reason, '');
    status_after text;
BEGIN
    SELECT * INTO job FROM public.coding_jobs j WHERE j.id = p_id FOR UPDATE;
    IF NOT FOUND OR job.status IN ('completed', 'failed', 'cancelled') THEN
        RETURN job.status;
    END IF;
    status_after := CASE WHEN job.status = 'processing' AND job.exec IS NOT NULL THEN 'processing' ELSE 'cancelled' END;
    UPDATE public.coding_jobs j
    SET status = status_after, cancel_requested_at = this_moment, error_message = note, updated_at = this_moment,
        completed_at = CASE status_after WHEN 'cancelled' THEN this_moment END,
        lease_expires_at = CASE status_after WHEN 'processing' THEN j.lease_expires_at END
    WHERE j.id = p_id;
    IF status_after = 'processing' THEN
        PERFORM pg_notify('mobvibe_' || job.worker, '');
    ELSIF job.status = 'processing' THEN
        INSERT INTO public.job_attempts (job_id, fence, claimed_at, started_at, finished_at, outcome, error)
        VALUES (job.id, job.fence, job.claimed_at, job.started_at, this_moment, 'cancelled', note);
    END IF;
    IF status_after = 'cancelled' AND job.session_id IS NOT NULL THEN
        PERFORM public.settle_sessions(ARRAY[job.session_id], 'failed', ARRAY[note]);
    END IF;
    INSERT INTO public.job_audit (job_id, action, done_by, reason, status_before, status_after)
    VALUES (p_id, 'cancel', p_by, p_reason, job.status, status_after);
    RETURN status_after;
END $$;

CREATE OR REPLACE FUNCTION public.retry_job(p_id uuid, p_by text DEFAULT current_user, p_reason text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    job public.coding_jobs;
BEGIN
    SELECT * INTO job FROM public.coding_jobs j WHERE j.id = p_id FOR UPDATE;
    IF NOT FOUND OR job.status = 'processing' THEN
        RETURN job.status;
    END IF;
    UPDATE public.coding_jobs j
    SET status = 'pending', retry_count = CASE job.status WHEN 'pending' THEN j.retry_count ELSE 0 END,
        error_message = NULL, result = NULL, completed_at = NULL, cancel_requested_at = NULL,
        run_at = NULL, due = true, updated_at = clock_timestamp()
    WHERE j.id = p_id;
    INSERT INTO public.job_audit (job_id, action, done_by, reason, status_before, status_after)
    VALUES (p_id, 'retry', p_by, p_reason, job.status, 'pending');
    PERFORM pg_notify('new_job', jsonb_build_object('job_id', job.id, 'session_id', job.session_id,
        'priority', job.priority, 'created_at', job.created_at)::text);
    RETURN 'pending';
END $$;

CREATE OR REPLACE FUNCTION public.delete_jobs_of_sessions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    DELETE FROM public.coding_jobs j USING deleted d WHERE j.session_id = d.id;
    DELETE FROM public.session_events e USING deleted d WHERE e.session_id = d.id;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION public.add_session_events(
    p_ids uuid[], p_jobs uuid[], p_execs uuid[], p_types text[], p_data jsonb[]) RETURNS integer
LANGUAGE plpgsql SET search_path = ''
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $fn$
DECLARE
    stored integer;
BEGIN
    INSERT INTO public.session_events (id, session_id, event_type, data, created_at)
    SELECT e.id, j.session_id, e.type, e.data, clock_timestamp()
    FROM unnest(p_ids, p_jobs, p_execs, p_types, p_data) WITH ORDINALITY AS e (id, job, exec, type, data, position)
    JOIN public.coding_jobs j
      ON j.id = e.job AND j.exec = e.exec AND j.status || '' = 'processing' AND j.session_id IS NOT NULL
    ORDER BY e.position
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS stored = ROW_COUNT;
    RETURN stored;
END $fn$;
