-- Suspects: jobs that may have ended their worker. They run isolated, in a worker process that begins nothing else.

-- isolated_until: the rule (docs/explanation/states.md), for all functions: until when a job that is started at
-- p_started_at must be isolated. '-infinity': never. 'infinity': to its end. The worker's side of it is
-- is_acquitted() in bridge/worker/quarantine.py. What `crashes` counts is in suspicion() (failed_attempts.sql).
-- Without SET and with an expression for a body, so that Postgres inlines it.
CREATE OR REPLACE FUNCTION public.isolated_until(
    p_crashes integer, p_retry_count integer, p_max_retries integer, p_started_at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE
RETURN CASE WHEN p_crashes = 0 THEN timestamptz '-infinity'
            WHEN p_crashes > 2 OR p_retry_count + 1 >= p_max_retries THEN timestamptz 'infinity'
            WHEN p_crashes = 1 THEN timestamptz '-infinity'
            ELSE p_started_at + interval '30 s' END;

-- claim_suspects: claims up to p_limit suspects of one queue that is not paused, the most urgent first. What was claimed together is a
-- batch: one process runs it, one job after the other. For every two live worker processes, one batch may be claimed
-- or running: suspects must not take all processes with them. A job that is not isolated any longer does not count.
-- One caller at a time, since two would both see room for one batch: the second gets no row. Rows that cannot be
-- changed are passed over (refusals.sql), as are those that the caller's setting mobvibe.skip names. Index:
-- jobs_suspect.
-- `alone` and `throughout` are the names that the version before reads: isolated, and isolated to its end.
DROP FUNCTION IF EXISTS public.claim_suspects(text, interval);
DROP FUNCTION IF EXISTS public.claim_suspects(text, interval, integer);
CREATE OR REPLACE FUNCTION public.claim_suspects(p_bridge text, p_lease interval, p_limit integer)
RETURNS TABLE (job_id uuid, fence bigint, queue text, actor text, priority integer, alone boolean, throughout boolean)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    batches integer;
    max_batches integer;
    isolating uuid[];
    ids uuid[];
    one record;
    claimed uuid[] := '{}';
    refused uuid[] := nullif(current_setting('mobvibe.skip', true), '')::uuid[];
BEGIN
    IF NOT EXISTS (SELECT FROM public.coding_jobs j
                   WHERE j.status = 'pending' AND j.crashes > 0
                     AND public.isolated_until(j.crashes, j.retry_count, j.max_retries, this_moment) > '-infinity') THEN
        RETURN;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtext('mobvibe.suspects')) THEN
        RETURN;
    END IF;
    SELECT count(DISTINCT (j.claimed_by, j.claimed_at)) FILTER (WHERE public.is_bridge(j.claimed_by)), array_agg(j.worker)
    INTO batches, isolating FROM public.coding_jobs j
    WHERE j.status = 'processing' AND j.crashes > 0
      AND (public.isolated_until(j.crashes, j.retry_count, j.max_retries, j.started_at) < this_moment) IS NOT TRUE;
    -- A worker that runs a batch takes nothing else, and so reports that it drains: it counts all the same.
    SELECT greatest(1, count(*) / 2) INTO max_batches FROM public.workers w
    WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment AND (NOT w.draining OR w.id = ANY (isolating));
    IF batches >= max_batches THEN
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;
    LOOP
        WITH found AS MATERIALIZED (
            SELECT s.id, s.queue, s.priority, s.seq FROM public.coding_jobs s
            WHERE s.status = 'pending' AND s.crashes > 0 AND (s.run_at IS NULL OR s.run_at <= this_moment)
              AND public.isolated_until(s.crashes, s.retry_count, s.max_retries, this_moment) > '-infinity'
              AND EXISTS (SELECT FROM public.workers w
                          WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment AND NOT w.draining
                            AND s.queue = ANY (w.queues) AND s.actor = ANY (w.actors))
              AND s.queue <> ALL (ARRAY(SELECT p.queue FROM public.queue_pauses p)) AND s.id NOT IN (SELECT unnest(refused))
            ORDER BY s.priority DESC, s.seq LIMIT p_limit
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
    SELECT c.id, c.fence, c.queue, c.actor, c.priority, true,
           public.isolated_until(c.crashes, c.retry_count, c.max_retries, this_moment) = 'infinity'
    FROM unnest(claimed) AS r (id) JOIN public.coding_jobs c ON c.id = r.id ORDER BY c.priority DESC, c.seq;
END $$;
