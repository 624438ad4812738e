-- What a failed attempt does to its job, whatever made it fail.

-- retry_delay: the wait before the next attempt, when p_retry_count attempts had failed before this one: 1-2 s, 2-4
-- s, 4-8 s and so on up to an hour. The jitter separates jobs that failed together.
CREATE OR REPLACE FUNCTION public.retry_delay(p_retry_count integer) RETURNS interval
LANGUAGE sql VOLATILE SET search_path = ''
AS $$ SELECT least(interval '1 hour', power(2, least(p_retry_count, 12)) * (1 + random()) * interval '1 second') $$;

-- clean_error: an error text that is fit to be stored: no control characters, 8000 characters at most.
CREATE OR REPLACE FUNCTION public.clean_error(p_error text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = ''
AS $$
    SELECT CASE WHEN length(t.text) > 8000 THEN left(t.text, 8000) || ' … (cut)' ELSE t.text END
    FROM (SELECT regexp_replace(p_error, '[\x01-\x08\x0b-\x1f\x7f-\x9f]', '', 'g') AS text) t
$$;

-- suspicion: what `crashes` is after a crash of the worker. p_ended_by is the job that ended the worker, NULL if nothing
-- tells which. That job gets two more, which isolates it. If it is unknown, each job gets one more: the first time that
-- isolates nobody, the second time it does. If it was another job, this one has at least 1, which isolates its last
-- attempt only.
-- Without SET and with an expression for a body, so that Postgres inlines it.
CREATE OR REPLACE FUNCTION public.suspicion(p_crashes integer, p_job uuid, p_ended_by uuid) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN p_ended_by IS NULL THEN p_crashes + 1
            WHEN p_ended_by = p_job THEN p_crashes + 2
            ELSE greatest(p_crashes, 1) END;

-- end_failed_attempts: ends attempts that failed, were reclaimed or crashed. The caller holds the row locks and has
-- checked that each attempt is the job's latest one. p_delays: NULL is retry_delay.
CREATE OR REPLACE FUNCTION public.end_failed_attempts(
    p_ids uuid[], p_outcomes text[], p_errors text[], p_finals boolean[], p_delays interval[])
RETURNS TABLE (job_id uuid, outcome text, status text)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH decided AS (
        SELECT r.id, r.outcome, public.clean_error(r.error) AS error,
            CASE WHEN j.cancel_requested_at IS NOT NULL THEN 'cancelled'
                 WHEN j.retry_count + 1 < j.max_retries AND NOT r.final THEN 'pending'
                 ELSE 'failed' END AS status,
            CASE WHEN r.outcome = 'crashed'
                 THEN public.suspicion(j.crashes, j.id, coalesce(
                          (SELECT w.ended_by FROM public.workers w WHERE w.id = j.worker),
                          CASE WHEN j.worker = ANY (ARRAY(SELECT o.worker FROM public.coding_jobs o
                                                          WHERE o.status = 'processing' AND o.exec IS NOT NULL
                                                          GROUP BY o.worker HAVING count(*) = 1))
                               THEN j.id END))  -- it was the only job there
                 ELSE j.crashes END AS crashes,
            least(greatest(coalesce(r.delay, public.retry_delay(j.retry_count)), interval '0'), interval '10 years') AS delay
        FROM unnest(p_ids, p_outcomes, p_errors, p_finals, p_delays) AS r (id, outcome, error, final, delay)
        JOIN public.coding_jobs j ON j.id = r.id
    ), ended AS (
        UPDATE public.coding_jobs j
        SET status = v.status, retry_count = j.retry_count + 1, releases = 0, error_message = v.error,
            crashes = v.crashes,
            run_at = CASE WHEN v.status = 'pending' THEN this_moment + v.delay ELSE j.run_at END,
            due = v.status <> 'pending',
            completed_at = CASE WHEN v.status <> 'pending' THEN this_moment END,
            lease_expires_at = NULL, updated_at = this_moment
        FROM decided v WHERE j.id = v.id AND j.status || '' = 'processing'
        RETURNING j.id, j.fence, j.exec, j.worker, j.claimed_at, j.started_at, j.session_id, j.status, v.error,
            CASE v.status WHEN 'cancelled' THEN 'cancelled' ELSE v.outcome END AS outcome
    ), ledger AS (
        INSERT INTO public.job_attempts (job_id, fence, exec, worker, claimed_at, started_at, finished_at, outcome, error)
        SELECT e.id, e.fence, e.exec, e.worker, e.claimed_at, e.started_at, this_moment, e.outcome, e.error FROM ended e
    ), sessions AS MATERIALIZED (
        SELECT public.settle_sessions(array_agg(e.session_id ORDER BY e.id), 'failed', array_agg(e.error ORDER BY e.id))
        FROM ended e WHERE e.status <> 'pending' AND e.session_id IS NOT NULL
    )
    SELECT e.id, e.outcome, e.status FROM ended e CROSS JOIN sessions;
END $$;
