-- Reports: a worker says how an attempt of its own has ended.

-- complete_jobs: ends attempts that succeeded. Returns the jobs whose report was accepted. Index: primary key.
CREATE OR REPLACE FUNCTION public.complete_jobs(p_ids uuid[], p_fences bigint[], p_execs uuid[], p_results jsonb[])
RETURNS SETOF uuid
LANGUAGE plpgsql SET search_path = ''
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

-- fail_jobs: ends attempts that raised an error. p_finals: there is no further attempt. p_delays: the wait until the
-- next one; NULL is retry_delay. Returns the accepted reports with the job's new status. Index: primary key.
CREATE OR REPLACE FUNCTION public.fail_jobs(
    p_ids uuid[], p_fences bigint[], p_execs uuid[], p_errors text[], p_finals boolean[], p_delays interval[])
RETURNS TABLE (job_id uuid, status text)
LANGUAGE plpgsql SET search_path = ''
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

-- cancel_attempts: ends attempts whose job was cancelled in the worker, for example by a middleware that skipped it.
-- There is no further attempt. Returns the jobs whose report was accepted. Index: primary key.
CREATE OR REPLACE FUNCTION public.cancel_attempts(p_ids uuid[], p_fences bigint[], p_execs uuid[], p_errors text[])
RETURNS SETOF uuid
LANGUAGE plpgsql SET search_path = ''
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
    PERFORM public.settle_sessions(sessions, 'failed', errors);
    RETURN QUERY SELECT unnest(accepted);
END $$;

-- release_delay: the least wait after a job was released p_releases times in a row. None for the first three, which a
-- roll-out and a lost hand-over may cost; then 1 s, 2 s, 4 s and so on up to five minutes. So nothing can make a job
-- go round at full speed.
CREATE OR REPLACE FUNCTION public.release_delay(p_releases integer) RETURNS interval
LANGUAGE sql IMMUTABLE SET search_path = ''
AS $$
    SELECT CASE WHEN p_releases <= 3 THEN interval '0'
                ELSE least(interval '5 minutes', power(2, least(p_releases - 4, 10)) * interval '1 second') END
$$;

-- release_jobs: ends attempts that are handed back unfinished, and spends no retry. A job that was to be cancelled is
-- cancelled. An exec of NULL releases a hand-over that nobody has started. The job waits for p_delays or
-- release_delay, whichever is longer; an attempt that ran for five minutes starts the count of releases again. Index:
-- primary key.
CREATE OR REPLACE FUNCTION public.release_jobs(
    p_ids uuid[], p_fences bigint[], p_execs uuid[], p_delays interval[], p_error text DEFAULT NULL)
RETURNS SETOF uuid
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    accepted uuid[];
    cancelled uuid[];
BEGIN
    WITH matched AS MATERIALIZED (
        SELECT j.id, r.delay, CASE WHEN j.started_at < this_moment - interval '5 minutes' THEN 1
                                   ELSE least(j.releases, 999999999) + 1 END AS releases
        FROM unnest(p_ids, p_fences, p_execs, p_delays) AS r (id, fence, exec, delay)
        JOIN public.coding_jobs j ON j.id = r.id
        WHERE j.status || '' = 'processing' AND j.fence = r.fence AND j.exec IS NOT DISTINCT FROM r.exec
        FOR UPDATE OF j
    ), waiting AS MATERIALIZED (
        SELECT o.id, o.releases, greatest(o.delay, public.release_delay(o.releases)) AS wait FROM matched o
    ), released AS (
        UPDATE public.coding_jobs j
        SET status = CASE WHEN j.cancel_requested_at IS NULL THEN 'pending' ELSE 'cancelled' END,
            completed_at = CASE WHEN j.cancel_requested_at IS NOT NULL THEN this_moment END,
            run_at = CASE WHEN w.wait > interval '0' THEN this_moment + least(w.wait, interval '10 years') END,
            due = w.wait <= interval '0',
            releases = w.releases, lease_expires_at = NULL, updated_at = this_moment
        FROM waiting w WHERE j.id = w.id
        RETURNING j.id, j.fence, j.exec, j.worker, j.claimed_at, j.started_at, j.status, j.session_id
    ), ledger AS (
        INSERT INTO public.job_attempts (job_id, fence, exec, worker, claimed_at, started_at, finished_at, outcome, error)
        SELECT b.id, b.fence, b.exec, b.worker, b.claimed_at, b.started_at, this_moment,
            CASE b.status WHEN 'cancelled' THEN 'cancelled' ELSE 'released' END, p_error
        FROM released b
    )
    SELECT array_agg(b.id), array_agg(b.session_id) FILTER (WHERE b.status = 'cancelled' AND b.session_id IS NOT NULL)
    INTO accepted, cancelled FROM released b;
    PERFORM public.settle_sessions(cancelled, 'failed', array_fill('cancelled'::text, ARRAY[coalesce(cardinality(cancelled), 0)]));
    RETURN QUERY SELECT unnest(accepted);
END $$;
