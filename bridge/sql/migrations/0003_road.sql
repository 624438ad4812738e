-- The road of a job, in the order a job takes it: claim, start, complete, release.
-- All take arrays, all are fenced: a row changes only while it is still the caller's attempt, and the
-- rows that come back are the ones that changed. Lease arithmetic uses this database's clock alone.
-- The planner settings keep each look-up on the primary key, whatever the statistics say that minute. So does
-- `status || ''`: compared as it is, the status would make the index of jobs in work look like a shorter way, and each
-- look-up would read all of it. Where rows are taken in order, no plan may sort a whole backlog to find its first.

-- queue_room: for each queue that live workers serve, the slots that are free for it, less the jobs handed over
-- for it and not yet started; all slots; and the queues that share those workers. Index: jobs_processing.
DROP FUNCTION IF EXISTS public.queue_room();
CREATE OR REPLACE FUNCTION public.queue_room() RETURNS TABLE (queue text, room integer, slots integer, shared_with text[])
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH live AS MATERIALIZED (
        SELECT w.id, w.slots, w.queues FROM public.workers w
        WHERE w.stopped_at IS NULL AND w.lease_expires_at > clock_timestamp() AND NOT w.draining
    ), held AS MATERIALIZED (
        -- What claim_next_job() or a hand took is in nobody's slot here.
        SELECT j.queue, j.worker, j.exec IS NULL AS waiting, count(*)::integer AS jobs
        FROM public.coding_jobs j
        WHERE j.status = 'processing' AND (j.exec IS NOT NULL OR j.claimed_by <> 'claim_next_job') GROUP BY 1, 2, 3
    )
    SELECT q.queue,
        (sum(greatest(0, l.slots - coalesce((SELECT sum(h.jobs) FROM held h WHERE NOT h.waiting AND h.worker = l.id), 0)))
         - coalesce((SELECT sum(h.jobs) FROM held h WHERE h.waiting AND h.queue = q.queue), 0))::integer,
        sum(l.slots)::integer,
        (SELECT array_agg(DISTINCT o.queue) FROM live s CROSS JOIN LATERAL unnest(s.queues) AS o (queue)
         WHERE q.queue = ANY (s.queues))
    FROM live l CROSS JOIN LATERAL unnest(l.queues) AS q (queue)
    GROUP BY q.queue;
END $$;

-- claim_jobs: takes the most urgent due jobs whose actor a live worker knows, from each queue as many as its room.
-- Where to look is given as spans: of one queue, the priorities from low to high, behind the place `after` in the
-- order of age. Suspects are claim_suspects' (0004). One span holds a whole queue; several keep out of stretches where only dead index entries lie.
-- Raises an error where a row does not let itself be claimed: claim_jobs_apart (0011) then tells which.
-- A claim that a crash of this server undoes has handed over nothing that could be started, so its commit need not
-- wait for the disk. Index: jobs_ready.
DROP FUNCTION IF EXISTS public.claim_jobs(text, integer, interval, jsonb);
CREATE OR REPLACE FUNCTION public.claim_jobs(
    p_bridge text, p_limit integer, p_lease interval,
    p_queues text[], p_rooms integer[], p_lows integer[], p_highs integer[], p_afters bigint[])
RETURNS TABLE (job_id uuid, fence bigint, queue text, actor text, priority integer, seq bigint)
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    ids uuid[];
    claimed bigint;
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    PERFORM public.promote_due_jobs(1000);
    WITH lane AS MATERIALIZED (
        SELECT q.queue, array_agg(DISTINCT a.actor) AS actors
        FROM public.workers w CROSS JOIN LATERAL unnest(w.queues) AS q (queue) CROSS JOIN LATERAL unnest(w.actors) AS a (actor)
        WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment AND NOT w.draining AND q.queue = ANY (p_queues)
        GROUP BY q.queue
    ), found AS MATERIALIZED (
        SELECT c.id, c.priority, c.seq, span.room,
               row_number() OVER (PARTITION BY lane.queue ORDER BY c.priority DESC, c.seq) AS place
        FROM unnest(p_queues, p_rooms, p_lows, p_highs, p_afters) AS span (queue, room, low, high, after)
        JOIN lane ON lane.queue = span.queue
        CROSS JOIN LATERAL (
            SELECT j.id, j.priority, j.seq FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.due AND j.queue = span.queue
              AND j.priority BETWEEN span.low AND span.high AND j.seq > span.after
              AND j.actor = ANY (lane.actors) AND (j.run_at IS NULL OR j.run_at <= this_moment) AND j.crashes = 0
            ORDER BY j.priority DESC, j.seq
            LIMIT least(greatest(span.room, 0), p_limit)
            FOR UPDATE SKIP LOCKED
        ) c
    ), next AS MATERIALIZED (
        SELECT f.id FROM found f WHERE f.place <= f.room ORDER BY f.priority DESC, f.seq LIMIT p_limit
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

-- promote_due_jobs: waiting jobs whose time has come join the ready ones. From the default queue they go to their
-- actor's own where a live worker serves it, before anybody can claim them: what a worker there handed back, as it
-- does not know the actor, would go round and round. Index: jobs_scheduled.
CREATE OR REPLACE FUNCTION public.promote_due_jobs(p_limit integer) RETURNS integer
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    -- Mostly there is none, and an UPDATE of no rows still fires the triggers of its table.
    IF NOT EXISTS (SELECT FROM public.coding_jobs s
                   WHERE s.status = 'pending' AND NOT s.due AND s.run_at <= this_moment) THEN
        RETURN 0;
    END IF;
    RETURN public.promote_jobs(ARRAY(
        SELECT s.id FROM public.coding_jobs s
        WHERE s.status = 'pending' AND NOT s.due AND s.run_at <= this_moment
        ORDER BY s.run_at LIMIT p_limit FOR UPDATE SKIP LOCKED));
END $$;

-- promote_jobs: does so with the given jobs, which the caller has locked. Raises an error where one stays as it is.
-- Index: primary key.
CREATE OR REPLACE FUNCTION public.promote_jobs(p_ids uuid[]) RETURNS integer
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    promoted integer;
BEGIN
    WITH promoted AS (
        UPDATE public.coding_jobs j
        SET due = true,
            queue = CASE WHEN j.queue = 'coding' THEN coalesce(
                (SELECT a.queue FROM public.actor_queues a
                 WHERE a.actor = j.actor AND a.queue <> 'coding' AND EXISTS (
                     SELECT FROM public.workers w WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment
                         AND a.queue = ANY (w.queues) AND a.actor = ANY (w.actors))), j.queue) ELSE j.queue END
        FROM unnest(p_ids) AS d (id)
        WHERE j.id = d.id
        RETURNING j.due
    )
    SELECT count(*) INTO promoted FROM promoted p WHERE p.due;
    PERFORM public.check_changed(promoted, p_ids);
    RETURN promoted;
END $$;

-- start_jobs: a worker takes up attempts that were handed to it, and learns what the jobs are. Each row says
-- which of the given attempts it is, counted from 1.
-- Saying the same start twice (the reply was lost) gives the same answer; a second run, with an exec of
-- its own, gets nothing. is_last: it fails for good when this attempt fails. Index: primary key.
DROP FUNCTION IF EXISTS public.start_jobs(uuid, uuid[], bigint[], uuid[]);
CREATE OR REPLACE FUNCTION public.start_jobs(p_worker uuid, p_ids uuid[], p_fences bigint[], p_execs uuid[])
RETURNS TABLE ("position" bigint, job_id uuid, session_id uuid, prompt text, payload jsonb, priority integer,
               attempt integer, is_last boolean, queue text, actor text)
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH mine AS (
        UPDATE public.coding_jobs j
        SET exec = r.exec, worker = p_worker, started_at = coalesce(j.started_at, this_moment),
            lease_expires_at = NULL, updated_at = this_moment
        FROM unnest(p_ids, p_fences, p_execs) WITH ORDINALITY AS r (id, fence, exec, "position")
        WHERE j.id = r.id AND j.status || '' = 'processing' AND j.fence = r.fence
          AND (j.exec IS NULL AND j.cancel_requested_at IS NULL AND j.claimed_by <> 'claim_next_job'
               OR j.exec = r.exec AND j.worker = p_worker)
          AND EXISTS (SELECT FROM public.workers w
                      WHERE w.id = p_worker AND w.stopped_at IS NULL AND w.lease_expires_at > this_moment)
        RETURNING r."position", j.id, j.session_id, j.prompt, j.payload, j.priority, j.retry_count, j.max_retries, j.queue, j.actor
    ), active AS MATERIALIZED (
        SELECT public.settle_sessions(array_agg(m.session_id) FILTER (WHERE m.session_id IS NOT NULL), 'active', NULL)
        FROM mine m
    )
    SELECT m."position", m.id, m.session_id, m.prompt, m.payload, m.priority, m.retry_count + 1,
           m.retry_count + 1 >= m.max_retries, m.queue, m.actor
    FROM mine m CROSS JOIN active;
END $$;

-- complete_jobs: attempts that ended well. Returns the jobs whose report was accepted. Index: primary key.
CREATE OR REPLACE FUNCTION public.complete_jobs(p_ids uuid[], p_fences bigint[], p_execs uuid[], p_results jsonb[])
RETURNS SETOF uuid
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    accepted uuid[];
    sessions uuid[];
BEGIN
    WITH done AS (
        UPDATE public.coding_jobs j
        SET status = 'completed', result = r.result, error_message = NULL, completed_at = this_moment,
            lease_expires_at = NULL, updated_at = this_moment
        FROM unnest(p_ids, p_fences, p_execs, p_results) AS r (id, fence, exec, result)
        WHERE j.id = r.id AND j.status || '' = 'processing' AND j.fence = r.fence AND j.exec = r.exec
        RETURNING j.id, j.fence, j.exec, j.worker, j.claimed_at, j.started_at, j.session_id
    ), ledger AS (
        INSERT INTO public.job_attempts (job_id, fence, exec, worker, claimed_at, started_at, finished_at, outcome)
        SELECT d.id, d.fence, d.exec, d.worker, d.claimed_at, d.started_at, this_moment, 'completed' FROM done d
    )
    SELECT array_agg(d.id), array_agg(d.session_id) FILTER (WHERE d.session_id IS NOT NULL) INTO accepted, sessions
    FROM done d;
    PERFORM public.settle_sessions(sessions, 'completed', NULL);
    RETURN QUERY SELECT unnest(accepted);
END $$;

-- release_delay: the least wait after a job was handed back p_releases times in a row: none for the first three, which a
-- rollout and a lost hand-over may cost, then 1 s, 2 s, 4 s, … up to five minutes. Whatever sends a job back again and
-- again, it does not go round at full speed.
CREATE OR REPLACE FUNCTION public.release_delay(p_releases integer) RETURNS interval
LANGUAGE sql IMMUTABLE SET search_path = ''
AS $$
    SELECT CASE WHEN p_releases <= 3 THEN interval '0'
                ELSE least(interval '5 minutes', power(2, least(p_releases - 4, 10)) * interval '1 second') END
$$;

-- release_jobs: attempts handed back unfinished, with no retry spent; a job that was to be cancelled stays
-- away for good. An exec of NULL releases a hand-over that nobody has started. The wait is the longer one of p_delays and
-- release_delay; an attempt that ran for five minutes begins the count anew. Index: primary key.
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
    WITH ours AS MATERIALIZED (
        SELECT j.id, r.delay, CASE WHEN j.started_at < this_moment - interval '5 minutes' THEN 1
                                   ELSE least(j.releases, 999999999) + 1 END AS releases
        FROM unnest(p_ids, p_fences, p_execs, p_delays) AS r (id, fence, exec, delay)
        JOIN public.coding_jobs j ON j.id = r.id
        WHERE j.status || '' = 'processing' AND j.fence = r.fence AND j.exec IS NOT DISTINCT FROM r.exec
        FOR UPDATE OF j
    ), waits AS MATERIALIZED (
        SELECT o.id, o.releases, greatest(o.delay, public.release_delay(o.releases)) AS wait FROM ours o
    ), back AS (
        UPDATE public.coding_jobs j
        SET status = CASE WHEN j.cancel_requested_at IS NULL THEN 'pending' ELSE 'cancelled' END,
            completed_at = CASE WHEN j.cancel_requested_at IS NOT NULL THEN this_moment END,
            run_at = CASE WHEN w.wait > interval '0' THEN this_moment + least(w.wait, interval '10 years') END,
            due = w.wait <= interval '0',
            releases = w.releases, lease_expires_at = NULL, updated_at = this_moment
        FROM waits w WHERE j.id = w.id
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

-- mobvibe_database_id: tells this database from every other one whose bridge may use the same Redis. Made once; a dump
-- and a copy keep it, so the database's name goes with it. No secret, and open to everybody as the schema's version is.
DO $do$
BEGIN
    IF to_regprocedure('public.mobvibe_database_id()') IS NULL THEN
        EXECUTE format('CREATE FUNCTION public.mobvibe_database_id() RETURNS text
                        LANGUAGE sql IMMUTABLE SET search_path = '''' AS %L', format('SELECT %L::text', gen_random_uuid()));
    END IF;
END $do$;

DO $do$ BEGIN PERFORM public.mobvibe_close_rights(); END $do$;
