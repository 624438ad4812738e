-- Three of the Node worker's four functions, with their names, arguments and results, for the Node worker, psql and
-- PostgREST; get_queue_stats is in queue_stats.sql. A MobVibe database has them already, with the same signatures: to
-- replace their bodies is enough.

-- claim_next_job: claims the due job with the highest priority, and of these the oldest. Paused queues are left out.
-- There are no heartbeats here: the caller has unwatched_lease() to report. Rows that cannot be changed (refusals.sql)
-- are passed over, for two seconds, and a warning names each.
CREATE OR REPLACE FUNCTION public.claim_next_job()
RETURNS TABLE (job_id uuid, session_id uuid, prompt text, priority integer)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    -- A transaction that has written before is the caller's: constraints that it has deferred stay deferred.
    is_own_transaction boolean := pg_current_xact_id_if_assigned() IS NULL;
    ids uuid[];
    candidate uuid;
    claimed uuid;
    refused uuid[] := '{}';
    one record;
    status_after text; context text; until timestamptz;
BEGIN
    IF is_own_transaction THEN
        PERFORM public.check_at_once('public.coding_jobs', true);
    END IF;
    FOR one IN
        SELECT e.job_id AS id, e.refusal
        FROM public.change_each('promote', ARRAY(
            SELECT s.id FROM public.coding_jobs s
            WHERE s.status = 'pending' AND NOT s.due AND s.run_at <= this_moment
            ORDER BY s.run_at LIMIT 1000 FOR UPDATE SKIP LOCKED), NULL, NULL) e
        WHERE e.refusal IS NOT NULL
    LOOP
        RAISE WARNING 'mobvibe: job % cannot be handed over now: %', one.id, one.refusal;
    END LOOP;
    until := clock_timestamp() + interval '2 s';
    LOOP
        ids := ARRAY(
            WITH RECURSIVE queues AS (
                (SELECT j.queue FROM public.coding_jobs j WHERE j.status = 'pending' AND j.due ORDER BY j.queue LIMIT 1)
                UNION ALL
                SELECT (SELECT j.queue FROM public.coding_jobs j
                        WHERE j.status = 'pending' AND j.due AND j.queue > q.queue ORDER BY j.queue LIMIT 1)
                FROM queues q WHERE q.queue IS NOT NULL
            )
            SELECT c.id
            FROM queues q CROSS JOIN LATERAL (
                SELECT j.id, j.priority, j.seq FROM public.coding_jobs j
                WHERE j.status = 'pending' AND j.due AND j.queue = q.queue
                  AND (j.run_at IS NULL OR j.run_at <= this_moment) AND j.id NOT IN (SELECT unnest(refused))
                ORDER BY j.priority DESC, j.seq LIMIT 1 + cardinality(refused)
                FOR UPDATE SKIP LOCKED
            ) c
            WHERE q.queue <> ALL (ARRAY(SELECT p.queue FROM public.queue_pauses p))
            ORDER BY c.priority DESC, c.seq LIMIT 1 + cardinality(refused));
        FOREACH candidate IN ARRAY ids LOOP
            BEGIN
                UPDATE public.coding_jobs j
                SET status = 'processing', fence = j.fence + 1, exec = NULL, worker = NULL, started_at = this_moment,
                    claimed_at = this_moment, claimed_by = 'claim_next_job', cancel_requested_at = NULL,
                    lease_expires_at = this_moment + public.unwatched_lease(), updated_at = this_moment
                WHERE j.id = candidate
                RETURNING j.status INTO status_after;
                PERFORM public.check_changed((status_after = 'processing')::integer, ARRAY[candidate]);
                claimed := candidate;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
                IF NOT public.is_of_a_row(SQLSTATE, context, 'claim_next_job') THEN
                    RAISE;
                END IF;
                refused := refused || candidate;
                RAISE WARNING 'mobvibe: job % cannot be handed over now: %', candidate, SQLERRM;
            END;
            EXIT WHEN claimed IS NOT NULL OR clock_timestamp() > until;
        END LOOP;
        EXIT WHEN claimed IS NOT NULL OR clock_timestamp() > until OR ids = '{}';
    END LOOP;
    IF is_own_transaction THEN
        PERFORM public.check_at_once('public.coding_jobs', false);
    END IF;
    RETURN QUERY SELECT j.id, j.session_id, j.prompt, j.priority FROM public.coding_jobs j WHERE j.id = claimed;
END $$;
COMMENT ON FUNCTION public.claim_next_job() IS 'Takes the most urgent due job: one row, or none';

-- complete_job: completes a job in processing that was claimed with claim_next_job() or by hand. A bridge's attempt
-- answers to its fence alone, so it is left as it is.
CREATE OR REPLACE FUNCTION public.complete_job(job_id_param uuid) RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    sessions uuid[];
BEGIN
    WITH done AS (
        UPDATE public.coding_jobs j
        SET status = 'completed', error_message = NULL, completed_at = this_moment, lease_expires_at = NULL,
            updated_at = this_moment
        WHERE j.id = job_id_param AND j.status = 'processing' AND j.exec IS NULL
          AND public.is_bridge(j.claimed_by) IS NOT TRUE
        RETURNING j.id, j.fence, j.claimed_at, j.started_at, j.session_id
    ), ledger AS (
        INSERT INTO public.job_attempts (job_id, fence, claimed_at, started_at, finished_at, outcome)
        SELECT d.id, d.fence, d.claimed_at, d.started_at, this_moment, 'completed' FROM done d
    )
    SELECT array_agg(d.session_id) FILTER (WHERE d.session_id IS NOT NULL) INTO sessions FROM done d;
    PERFORM public.settle_sessions(sessions, 'completed', NULL);
END $$;
COMMENT ON FUNCTION public.complete_job(uuid) IS 'Completes a job taken with claim_next_job()';

-- fail_job: true if the job will run again; false if not, or if it is not in processing or is a bridge's attempt.
CREATE OR REPLACE FUNCTION public.fail_job(job_id_param uuid, error_msg text) RETURNS boolean
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    status_after text;
BEGIN
    PERFORM FROM public.coding_jobs j
    WHERE j.id = job_id_param AND j.status = 'processing' AND j.exec IS NULL
          AND public.is_bridge(j.claimed_by) IS NOT TRUE FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT e.status INTO status_after
    FROM public.end_failed_attempts(ARRAY[job_id_param], ARRAY['failed'], ARRAY[error_msg], ARRAY[false], '{}') e;
    RETURN status_after = 'pending';
END $$;
COMMENT ON FUNCTION public.fail_job(uuid, text) IS 'Fails a job taken with claim_next_job(): true = it will be retried';
