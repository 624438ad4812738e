-- How attempts end badly: by report, by loss of their worker, or by loss on the way to it.

-- retry_delay: the wait after the attempt that raises retry_count from p_retry_count:
-- 1-2 s, 2-4 s, 4-8 s, … up to an hour. The jitter keeps jobs that failed together from coming back together.
CREATE OR REPLACE FUNCTION public.retry_delay(p_retry_count integer) RETURNS interval
LANGUAGE sql VOLATILE SET search_path = ''
AS $$ SELECT least(interval '1 hour', power(2, least(p_retry_count, 12)) * (1 + random()) * interval '1 second') $$;

-- clean_error: an error text fit to keep: no control characters, 8 kB at the most.
CREATE OR REPLACE FUNCTION public.clean_error(p_error text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = ''
AS $$
    SELECT CASE WHEN length(t.text) > 8000 THEN left(t.text, 8000) || ' … (cut)' ELSE t.text END
    FROM (SELECT regexp_replace(p_error, '[\x01-\x08\x0b-\x1f\x7f-\x9f]', '', 'g') AS text) t
$$;

-- end_failed_attempts: what a failed, reclaimed or crashed attempt does to its job. The caller holds the row
-- locks and has checked that each attempt is the current one. p_delays: NULL waits retry_delay.
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
        SET status = v.status, retry_count = j.retry_count + 1, releases = 0, error_message = v.error,
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

-- fail_jobs: attempts that ended with an error. p_finals: no further attempt. p_delays: NULL is the usual
-- backoff. Returns the accepted reports and where each job stands now. Index: primary key.
CREATE OR REPLACE FUNCTION public.fail_jobs(
    p_ids uuid[], p_fences bigint[], p_execs uuid[], p_errors text[], p_finals boolean[], p_delays interval[])
RETURNS TABLE (job_id uuid, status text)
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    ids uuid[]; outcomes text[]; errors text[]; finals boolean[]; delays interval[];
BEGIN
    SELECT array_agg(m.id), array_agg('failed'::text), array_agg(m.error), array_agg(m.final), array_agg(m.delay)
    INTO ids, outcomes, errors, finals, delays
    FROM (SELECT j.id, r.error, r.final, r.delay
          FROM unnest(p_ids, p_fences, p_execs, p_errors, p_finals, p_delays) AS r (id, fence, exec, error, final, delay)
          JOIN public.coding_jobs j ON j.id = r.id
          WHERE j.status || '' = 'processing' AND j.fence = r.fence AND j.exec = r.exec
          ORDER BY j.id FOR UPDATE OF j) m;
    RETURN QUERY SELECT e.job_id, e.status FROM public.end_failed_attempts(ids, outcomes, errors, finals, delays) e;
END $$;

-- cancel_attempts: attempts whose job was called off where it ran, such as by a middleware that skipped it. There is no
-- further attempt. Returns the jobs whose report was accepted. Index: primary key.
CREATE OR REPLACE FUNCTION public.cancel_attempts(p_ids uuid[], p_fences bigint[], p_execs uuid[], p_errors text[])
RETURNS SETOF uuid
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    accepted uuid[];
    sessions uuid[];
    errors text[];
BEGIN
    WITH done AS (
        UPDATE public.coding_jobs j
        SET status = 'cancelled', error_message = public.clean_error(r.error), completed_at = this_moment,
            lease_expires_at = NULL, updated_at = this_moment
        FROM unnest(p_ids, p_fences, p_execs, p_errors) AS r (id, fence, exec, error)
        WHERE j.id = r.id AND j.status || '' = 'processing' AND j.fence = r.fence AND j.exec = r.exec
        RETURNING j.id, j.fence, j.exec, j.worker, j.claimed_at, j.started_at, j.session_id, j.error_message
    ), ledger AS (
        INSERT INTO public.job_attempts (job_id, fence, exec, worker, claimed_at, started_at, finished_at, outcome, error)
        SELECT d.id, d.fence, d.exec, d.worker, d.claimed_at, d.started_at, this_moment, 'cancelled', d.error_message FROM done d
    )
    SELECT array_agg(d.id), array_agg(d.session_id) FILTER (WHERE d.session_id IS NOT NULL),
           array_agg(d.error_message) FILTER (WHERE d.session_id IS NOT NULL)
    INTO accepted, sessions, errors FROM done d;
    PERFORM public.fail_sessions(sessions, errors);
    RETURN QUERY SELECT unnest(accepted);
END $$;

-- reclaim_jobs: takes back what went silent. A worker whose lease ran out is declared lost, and what it had
-- started has crashed. A hand-over that no worker started in time is released: it never ran, so it spends no
-- retry. What crashed for the first time need not wait: it runs alone next. What claim_next_job() handed out counts as run. Selection and change see the same locked rows.
-- For p_grace after Postgres itself came up nobody is declared lost: no heartbeat could have come through.
-- One caller at a time; a second one finds nothing to do. No job holds up the others: where all of them at
-- once do not get through (a row of the host's that somebody holds, a trigger that refuses), each is tried
-- by itself (0011), for two seconds in all, and what fails is said to the caller and in the server's log. The caller's
-- setting mobvibe.skip names those to leave out for now. Index: jobs_processing.
CREATE OR REPLACE FUNCTION public.reclaim_jobs(p_limit integer, p_grace interval)
RETURNS TABLE (job_id uuid, outcome text, status text)
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    SET lock_timeout = '200ms'
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    skip uuid[] := nullif(current_setting('mobvibe.skip', true), '')::uuid[];
    ids uuid[]; fences bigint[]; outcomes text[]; errors text[]; delays interval[];
    taken uuid[]; taken_outcomes text[]; statuses text[];
    start integer; stop integer; until timestamptz; context text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('mobvibe.reclaim')) THEN
        RETURN;
    END IF;
    IF this_moment - pg_postmaster_start_time() > p_grace THEN
        UPDATE public.workers w SET stopped_at = this_moment, stop_reason = 'lost'
        FROM (SELECT o.id FROM public.workers o
              WHERE o.stopped_at IS NULL AND o.lease_expires_at < this_moment
              FOR NO KEY UPDATE SKIP LOCKED) silent
        WHERE w.id = silent.id;
    END IF;

    SELECT array_agg(s.id), array_agg(s.fence), array_agg(s.outcome), array_agg(s.error),
           array_agg(CASE WHEN s.outcome = 'crashed' AND s.crashes = 0 THEN interval '0' END)
    INTO ids, fences, outcomes, errors, delays
    FROM (SELECT j.id, j.fence, j.crashes,
              CASE WHEN j.exec IS NOT NULL THEN 'crashed'
                   WHEN j.claimed_by <> 'claim_next_job' THEN 'released'
                   ELSE 'reclaimed' END AS outcome,
              CASE WHEN j.exec IS NOT NULL
                   THEN 'crashed: worker ' || coalesce((SELECT w.name FROM public.workers w WHERE w.id = j.worker), j.worker::text)
                        || ' was lost while it ran this job'
                   ELSE 'reclaimed: nothing was heard of this job until its lease ran out' END AS error
          FROM public.coding_jobs j
          WHERE j.status = 'processing'
            AND CASE WHEN j.exec IS NULL
                     THEN coalesce(j.lease_expires_at, j.updated_at + public.unwatched_lease()) < this_moment
                     -- What was started since may be in a worker that registered since: it is not to be seen here.
                     ELSE (j.started_at >= this_moment) IS NOT TRUE
                          AND NOT EXISTS (SELECT FROM public.workers w WHERE w.id = j.worker AND w.stopped_at IS NULL) END
            AND j.id NOT IN (SELECT unnest(skip))
          -- In no fixed order: jobs that cannot be taken back must not stand before those that can.
          ORDER BY random() LIMIT p_limit
          FOR UPDATE OF j SKIP LOCKED) s;

    IF ids IS NULL THEN
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;  -- one that waits for the commit would undo all of them
    FOR turn IN 0 .. cardinality(ids) LOOP  -- all of them, then one by one
        EXIT WHEN clock_timestamp() > until;
        start := greatest(turn, 1);
        stop := CASE WHEN turn = 0 THEN cardinality(ids) ELSE turn END;
        BEGIN
            SELECT array_agg(t.job_id), array_agg(t.outcome), array_agg(t.status) INTO taken, taken_outcomes, statuses
            FROM public.take_back(ids[start:stop], fences[start:stop], outcomes[start:stop], errors[start:stop],
                                  delays[start:stop]) t;
            PERFORM public.check_changed(cardinality(taken), ids[start:stop]);
            RETURN QUERY SELECT t.id, t.outcome, t.status FROM unnest(taken, taken_outcomes, statuses) AS t (id, outcome, status);
            EXIT WHEN turn = 0;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
            -- Who holds a row of a host's, or was quicker, holds up no other.
            IF SQLSTATE NOT IN ('40001', '40P01', '55P03') AND NOT public.is_of_a_row(SQLSTATE, context, 'reclaim_jobs') THEN
                RAISE;
            END IF;
            IF turn = 0 THEN
                until := clock_timestamp() + interval '2 s';
            ELSE
                RAISE WARNING 'mobvibe: job % cannot be taken back now: %', ids[turn], SQLERRM;
            END IF;
        END;
    END LOOP;
END $$;

-- claim_suspects: takes jobs of one queue whose worker was lost while it ran them, to be run alone, p_line at the most,
-- most urgent first. What was claimed together is a line: one process runs it, one job after the other. One line for
-- two worker processes, counting those in somebody's hands: whatever kills workers must leave some. What is acquitted
-- (bridge/worker/solitude.py says when) is in no line any more; `throughout` says of which that is never so. One caller
-- at a time, or two would both find room for one line; the second one finds nothing to do. Rows that cannot be changed
-- are passed over (0011), and so are those that the caller's setting mobvibe.skip names. Index: jobs_suspect.
DROP FUNCTION IF EXISTS public.claim_suspects(text, interval);
DROP FUNCTION IF EXISTS public.claim_suspects(text, interval, integer);
CREATE OR REPLACE FUNCTION public.claim_suspects(p_bridge text, p_lease interval, p_line integer)
RETURNS TABLE (job_id uuid, fence bigint, queue text, actor text, alone boolean, throughout boolean)
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    lines integer;
    lines_most integer;
    ids uuid[];
    one record;
    claimed uuid[] := '{}';
    refused uuid[] := coalesce(nullif(current_setting('mobvibe.skip', true), ''), '{}')::uuid[];
BEGIN
    IF NOT EXISTS (SELECT FROM public.coding_jobs j WHERE j.status = 'pending' AND j.crashes > 0) THEN
        RETURN;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtext('mobvibe.suspects')) THEN
        RETURN;
    END IF;
    SELECT count(DISTINCT (j.claimed_by, j.claimed_at)) INTO lines FROM public.coding_jobs j
    WHERE j.status = 'processing' AND j.crashes > 0 AND j.claimed_by <> 'claim_next_job'
      AND (j.started_at < this_moment - interval '30 s' AND j.crashes = 1 AND j.retry_count + 1 < j.max_retries) IS NOT TRUE;
    -- One that runs a line takes nothing else, and says that it drains: it counts all the same.
    SELECT greatest(1, count(*) / 2) INTO lines_most FROM public.workers w
    WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment
      AND (NOT w.draining OR w.id IN (SELECT j.worker FROM public.coding_jobs j
                                      WHERE j.status = 'processing' AND j.crashes > 0
                                        AND (j.started_at < this_moment - interval '30 s' AND j.crashes = 1
                                             AND j.retry_count + 1 < j.max_retries) IS NOT TRUE));
    IF lines >= lines_most THEN
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;
    LOOP
        WITH found AS MATERIALIZED (
            SELECT s.id, s.queue, s.priority, s.seq FROM public.coding_jobs s
            WHERE s.status = 'pending' AND s.crashes > 0 AND (s.run_at IS NULL OR s.run_at <= this_moment)
              AND EXISTS (SELECT FROM public.workers w
                          WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment AND NOT w.draining
                            AND s.queue = ANY (w.queues) AND s.actor = ANY (w.actors))
              AND s.id NOT IN (SELECT unnest(refused))
            ORDER BY s.priority DESC, s.seq LIMIT p_line
            FOR UPDATE SKIP LOCKED
        )
        SELECT array_agg(f.id) INTO ids FROM found f
        WHERE f.queue = (SELECT o.queue FROM found o ORDER BY o.priority DESC, o.seq LIMIT 1);
        EXIT WHEN ids IS NULL OR clock_timestamp() - this_moment > interval '2 s';
        FOR one IN SELECT e.job_id AS id, e.refusal FROM public.change_each('claim', ids, p_bridge, p_lease) e LOOP
            IF one.refusal IS NULL THEN
                claimed := claimed || one.id;
            ELSE
                refused := refused || one.id;
                RAISE WARNING 'mobvibe: job % cannot be handed over now: %', one.id, one.refusal;
            END IF;
        END LOOP;
        EXIT WHEN claimed <> '{}';
    END LOOP;
    RETURN QUERY
    SELECT c.id, c.fence, c.queue, c.actor, true, c.crashes > 1 OR c.retry_count + 1 >= c.max_retries
    FROM unnest(claimed) AS mine (id) JOIN public.coding_jobs c ON c.id = mine.id ORDER BY c.priority DESC, c.seq;
END $$;

-- keep_claims: prolongs hand-overs that a worker has and cannot start yet. Returns the jobs that are still its to
-- start. Index: primary key.
CREATE OR REPLACE FUNCTION public.keep_claims(p_ids uuid[], p_fences bigint[], p_lease interval) RETURNS SETOF uuid
LANGUAGE sql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
    UPDATE public.coding_jobs j SET lease_expires_at = clock_timestamp() + p_lease
    FROM unnest(p_ids, p_fences) AS r (id, fence)
    WHERE j.id = r.id AND j.status = 'processing' AND j.fence = r.fence
      AND j.exec IS NULL AND j.claimed_by <> 'claim_next_job'
    RETURNING j.id
$$;

-- waiting_claims: hand-overs of bridges that nobody has started for p_age, oldest first: Redis may have lost them.
-- Index: jobs_processing.
DROP FUNCTION IF EXISTS public.waiting_claims(interval, integer);
CREATE OR REPLACE FUNCTION public.waiting_claims(p_age interval, p_limit integer)
RETURNS TABLE (job_id uuid, fence bigint, queue text, actor text, alone boolean, throughout boolean)
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    SELECT j.id, j.fence, j.queue, j.actor, j.crashes > 0,
           j.crashes > 1 OR j.crashes = 1 AND j.retry_count + 1 >= j.max_retries
    FROM public.coding_jobs j
    WHERE j.status = 'processing' AND j.claimed_at <= this_moment - p_age
      AND j.exec IS NULL AND j.claimed_by <> 'claim_next_job' AND j.lease_expires_at > this_moment
    ORDER BY j.claimed_at LIMIT p_limit;
END $$;

-- unwatched_lease: how long a holder may be silent that sends no heartbeats, such as the Node worker.
-- Change it with: ALTER DATABASE … SET mobvibe.unwatched_lease = '2 hours'.
CREATE OR REPLACE FUNCTION public.unwatched_lease() RETURNS interval
LANGUAGE sql STABLE SET search_path = ''
AS $$ SELECT coalesce(nullif(current_setting('mobvibe.unwatched_lease', true), ''), '1 hour')::interval $$;

-- settle_sessions: brings sessions to where their jobs stand. A session completes with the last of its open
-- jobs. The rows are locked before that is asked: two last jobs must not each see the other one open.
CREATE OR REPLACE FUNCTION public.settle_sessions(p_sessions uuid[], p_status text, p_errors text[]) RETURNS void
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    IF coalesce(cardinality(p_sessions), 0) = 0 THEN
        RETURN;
    END IF;
    -- The host's own triggers on its sessions table may name their tables and functions without a schema.
    -- Everything below is named in full; the path ends with this function.
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

-- fail_sessions: settles sessions whose jobs failed or were cancelled. The host may refuse that, by a trigger or a
-- constraint of its own; the job has ended all the same, and the server's log says which session was left as it was.
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

-- fail_claims: hand-overs whose start this database refuses, such as by a trigger of the host's: it would refuse the
-- next start as well, so each costs a retry. Returns the accepted ones and where each job stands now.
-- Index: primary key.
CREATE OR REPLACE FUNCTION public.fail_claims(p_ids uuid[], p_fences bigint[], p_errors text[])
RETURNS TABLE (job_id uuid, status text)
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    ids uuid[]; outcomes text[]; errors text[]; finals boolean[]; delays interval[];
BEGIN
    SELECT array_agg(m.id), array_agg('failed'::text), array_agg(m.error), array_agg(false), array_agg(NULL::interval)
    INTO ids, outcomes, errors, finals, delays
    FROM (SELECT j.id, r.error
          FROM unnest(p_ids, p_fences, p_errors) AS r (id, fence, error)
          JOIN public.coding_jobs j ON j.id = r.id
          WHERE j.status || '' = 'processing' AND j.fence = r.fence
            AND j.exec IS NULL AND j.claimed_by <> 'claim_next_job'
          ORDER BY j.id FOR UPDATE OF j) m;
    RETURN QUERY SELECT e.job_id, e.status FROM public.end_failed_attempts(ids, outcomes, errors, finals, delays) e;
END $$;

DO $do$ BEGIN PERFORM public.mobvibe_close_rights(); END $do$;
