-- The start of an attempt, and hand-overs that cannot start yet or never will.

-- start_jobs: a worker starts attempts that were handed over to it, and gets what it needs to run them. `position`
-- says which of the given attempts a row is about, counted from 1.
-- A repeated call, after its answer was lost, gets the same answer; a second run, with an exec of its own, gets no
-- row. is_last: the job fails for good if this attempt fails. Index: primary key.
DROP FUNCTION IF EXISTS public.start_jobs(uuid, uuid[], bigint[], uuid[]);
CREATE OR REPLACE FUNCTION public.start_jobs(p_worker uuid, p_ids uuid[], p_fences bigint[], p_execs uuid[])
RETURNS TABLE ("position" bigint, job_id uuid, session_id uuid, prompt text, payload jsonb, priority integer,
               attempt integer, is_last boolean, queue text, actor text)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH started AS (
        UPDATE public.coding_jobs j
        SET exec = r.exec, worker = p_worker, started_at = coalesce(j.started_at, this_moment),
            lease_expires_at = NULL, updated_at = this_moment
        FROM unnest(p_ids, p_fences, p_execs) WITH ORDINALITY AS r (id, fence, exec, "position")
        WHERE j.id = r.id AND j.status || '' = 'processing' AND j.fence = r.fence
          AND (j.exec IS NULL AND j.cancel_requested_at IS NULL AND public.is_bridge(j.claimed_by)
               OR j.exec = r.exec AND j.worker = p_worker)
          AND EXISTS (SELECT FROM public.workers w
                      WHERE w.id = p_worker AND w.stopped_at IS NULL AND w.lease_expires_at > this_moment)
        RETURNING r."position", j.id, j.session_id, j.prompt, j.payload, j.priority, j.retry_count, j.max_retries, j.queue, j.actor
    ), active AS MATERIALIZED (
        SELECT public.settle_sessions(array_agg(m.session_id) FILTER (WHERE m.session_id IS NOT NULL), 'active', NULL)
        FROM started m
    )
    SELECT m."position", m.id, m.session_id, m.prompt, m.payload, m.priority, m.retry_count + 1,
           m.retry_count + 1 >= m.max_retries, m.queue, m.actor
    FROM started m CROSS JOIN active;
END $$;

-- keep_claims: extends the lease of hand-overs that a worker has received and cannot start yet. Returns the jobs that
-- it may still start. Index: primary key.
CREATE OR REPLACE FUNCTION public.keep_claims(p_ids uuid[], p_fences bigint[], p_lease interval) RETURNS SETOF uuid
LANGUAGE sql SET search_path = ''
AS $$
    UPDATE public.coding_jobs j SET lease_expires_at = clock_timestamp() + p_lease
    FROM unnest(p_ids, p_fences) AS r (id, fence)
    WHERE j.id = r.id AND j.status = 'processing' AND j.fence = r.fence
      AND j.exec IS NULL AND public.is_bridge(j.claimed_by)
    RETURNING j.id
$$;

-- waiting_claims: hand-overs that nobody has started for p_age, oldest first: Redis may have lost their messages.
-- `alone` and `throughout` are as in claim_suspects (suspects.sql). Index: jobs_processing.
DROP FUNCTION IF EXISTS public.waiting_claims(interval, integer);
CREATE OR REPLACE FUNCTION public.waiting_claims(p_age interval, p_limit integer)
RETURNS TABLE (job_id uuid, fence bigint, queue text, actor text, priority integer, alone boolean, throughout boolean)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    SELECT j.id, j.fence, j.queue, j.actor, j.priority, i.until > this_moment, i.until = 'infinity'
    FROM public.coding_jobs j
    CROSS JOIN LATERAL (
        SELECT public.isolated_until(j.crashes, j.retry_count, j.max_retries, this_moment) AS until) i
    WHERE j.status = 'processing' AND j.claimed_at <= this_moment - p_age
      AND j.exec IS NULL AND public.is_bridge(j.claimed_by) AND j.lease_expires_at > this_moment
    ORDER BY j.claimed_at LIMIT p_limit;
END $$;

-- fail_claims: fails hand-overs whose start this database refuses, for example by a host's trigger: it would refuse
-- the next start as well, so each one costs a retry. Returns those that were accepted, with the job's new status.
-- Index: primary key.
CREATE OR REPLACE FUNCTION public.fail_claims(p_ids uuid[], p_fences bigint[], p_errors text[])
RETURNS TABLE (job_id uuid, status text)
LANGUAGE plpgsql SET search_path = ''
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
            AND j.exec IS NULL AND public.is_bridge(j.claimed_by)
          ORDER BY j.id FOR UPDATE OF j) m;
    RETURN QUERY SELECT e.job_id, e.status FROM public.end_failed_attempts(ids, outcomes, errors, finals, delays) e;
END $$;
