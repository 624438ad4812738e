-- What operators do to jobs. The change and its audit rows are one transaction. p_bulk is the bulk operation that it is
-- part of, see bulk.sql. The functions for many jobs take those that can be changed, and return how many these were.

-- cancel_jobs: cancels jobs that are pending or handed over at once. Running ones are marked: their workers are notified,
-- each on its own channel, and stop them with their next heartbeat.
CREATE OR REPLACE FUNCTION public.cancel_jobs(p_ids uuid[], p_by text, p_reason text, p_bulk bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    note text := 'cancelled by ' || p_by || coalesce(': ' || p_reason, '');
    changed bigint;
    handed_over uuid[];
    sessions uuid[];
    workers uuid[];
BEGIN
    WITH open AS MATERIALIZED (
        SELECT j.id, j.status AS status_before, CASE WHEN j.status = 'processing' AND j.exec IS NOT NULL
                                                     THEN 'processing' ELSE 'cancelled' END AS status_after
        FROM public.coding_jobs j
        WHERE j.id = ANY (p_ids) AND j.status IN ('pending', 'processing') ORDER BY j.id FOR UPDATE
    ), cancelled AS (
        UPDATE public.coding_jobs j
        SET status = o.status_after, cancel_requested_at = this_moment, error_message = note, updated_at = this_moment,
            completed_at = CASE o.status_after WHEN 'cancelled' THEN this_moment END,
            lease_expires_at = CASE o.status_after WHEN 'processing' THEN j.lease_expires_at END
        FROM open o WHERE j.id = o.id
        RETURNING j.id, j.session_id, j.worker, o.status_before, o.status_after
    ), noted AS (
        INSERT INTO public.job_audit (job_id, action, done_by, reason, status_before, status_after, bulk_operation)
        SELECT c.id, 'cancel', p_by, p_reason, c.status_before, c.status_after, p_bulk FROM cancelled c
    )
    SELECT count(*), array_agg(c.id) FILTER (WHERE c.status_before = 'processing' AND c.status_after = 'cancelled'),
           array_agg(DISTINCT c.session_id) FILTER (WHERE c.status_after = 'cancelled' AND c.session_id IS NOT NULL),
           array_agg(DISTINCT c.worker) FILTER (WHERE c.status_after = 'processing')
    INTO changed, handed_over, sessions, workers FROM cancelled c;
    IF handed_over IS NOT NULL THEN
        INSERT INTO public.job_attempts (job_id, fence, claimed_at, started_at, finished_at, outcome, error)
        SELECT j.id, j.fence, j.claimed_at, j.started_at, this_moment, 'cancelled', note
        FROM public.coding_jobs j WHERE j.id = ANY (handed_over);
    END IF;
    PERFORM pg_notify('mobvibe_' || w.worker, '') FROM unnest(workers) AS w (worker);
    PERFORM public.settle_sessions(sessions, 'failed', array_fill(note, ARRAY[coalesce(cardinality(sessions), 0)]));
    RETURN changed;
END $$;

-- retry_jobs: makes finished jobs run again, with all their retries; pending ones run now. Jobs in processing stay as
-- they are.
CREATE OR REPLACE FUNCTION public.retry_jobs(p_ids uuid[], p_by text, p_reason text, p_bulk bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    changed bigint;
    one uuid;
BEGIN
    WITH idle AS MATERIALIZED (
        SELECT j.id, j.status AS status_before FROM public.coding_jobs j
        WHERE j.id = ANY (p_ids) AND j.status <> 'processing' ORDER BY j.id FOR UPDATE
    ), retried AS (
        UPDATE public.coding_jobs j
        SET status = 'pending', retry_count = CASE i.status_before WHEN 'pending' THEN j.retry_count ELSE 0 END,
            releases = 0, error_message = NULL, result = NULL, completed_at = NULL, cancel_requested_at = NULL,
            run_at = NULL, due = true, updated_at = clock_timestamp()
        FROM idle i WHERE j.id = i.id
        RETURNING j.id, i.status_before
    ), noted AS (
        INSERT INTO public.job_audit (job_id, action, done_by, reason, status_before, status_after, bulk_operation)
        SELECT r.id, 'retry', p_by, p_reason, r.status_before, 'pending', p_bulk FROM retried r
    )
    SELECT count(*), (array_agg(r.id))[1] INTO changed, one FROM retried r;
    IF changed = 1 THEN
        PERFORM pg_notify('new_job', public.new_job_payload(j.id, j.session_id, j.priority, j.created_at))
        FROM public.coding_jobs j WHERE j.id = one;
    ELSIF changed > 1 THEN
        PERFORM pg_notify('new_job', json_build_object('count', changed)::text);
    END IF;
    RETURN changed;
END $$;

-- replay_jobs: inserts a copy of each of these jobs, as they were when they were inserted, to run now. The old ones stay
-- as they are; job_audit says which copy is of which. p_payload, p_prompt: NULL leaves the old one. p_copy is the id of
-- the copy, for one job; NULL: a new one. Returns how many were inserted.
-- 3 attempts: as in enqueue (queries/jobs.sql). The setting is for one row at a time: the trigger takes it.
CREATE OR REPLACE FUNCTION public.replay_jobs(
    p_ids uuid[], p_payload jsonb, p_prompt text, p_by text, p_reason text, p_copy uuid, p_bulk bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    copied bigint;
BEGIN
    WITH old AS MATERIALIZED (
        SELECT coalesce(p_copy, gen_random_uuid()) AS copy, j.id, j.status, j.session_id, j.actor, j.queue, j.payload, j.prompt,
               j.priority, j.max_retries, j.retries_from_actor
        FROM public.coding_jobs j WHERE j.id = ANY (p_ids)
    ), copies AS (
        INSERT INTO public.coding_jobs (id, session_id, actor, queue, payload, prompt, priority, max_retries)
        SELECT o.copy, o.session_id, o.actor, o.queue, coalesce(p_payload, o.payload), coalesce(p_prompt, o.prompt), o.priority,
               CASE WHEN o.queue = 'coding' AND o.max_retries = 3 AND NOT o.retries_from_actor
                    THEN CASE WHEN set_config('mobvibe.three_attempts', statement_timestamp()::text, true) <> '' THEN 3 END
                    ELSE o.max_retries END
        FROM old o
        RETURNING id, status
    ), noted AS (
        INSERT INTO public.job_audit (job_id, action, done_by, reason, status_before, status_after, copy, bulk_operation)
        SELECT o.id, 'replay', p_by, p_reason, o.status, c.status, c.id, p_bulk FROM copies c JOIN old o ON o.copy = c.id
    )
    SELECT count(*) INTO copied FROM copies;
    RETURN copied;
END $$;

-- cancel_job: cancel_jobs for one. Returns the status afterwards, 'processing' for a marked job; NULL: there is no such
-- job.
CREATE OR REPLACE FUNCTION public.cancel_job(p_id uuid, p_by text DEFAULT current_user, p_reason text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    PERFORM public.cancel_jobs(ARRAY[p_id], p_by, p_reason, NULL);
    RETURN (SELECT j.status FROM public.coding_jobs j WHERE j.id = p_id);
END $$;

-- retry_job: retry_jobs for one. Returns the status afterwards; NULL: there is no such job.
CREATE OR REPLACE FUNCTION public.retry_job(p_id uuid, p_by text DEFAULT current_user, p_reason text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    PERFORM public.retry_jobs(ARRAY[p_id], p_by, p_reason, NULL);
    RETURN (SELECT j.status FROM public.coding_jobs j WHERE j.id = p_id);
END $$;

-- replay_job: inserts a copy of a job, see replay_jobs. A second call with the same p_copy inserts nothing: a form may be
-- sent twice. Returns the id of the copy; NULL: there is no such job.
CREATE OR REPLACE FUNCTION public.replay_job(
    p_id uuid, p_payload jsonb DEFAULT NULL, p_prompt text DEFAULT NULL, p_by text DEFAULT current_user,
    p_reason text DEFAULT NULL, p_copy uuid DEFAULT gen_random_uuid()) RETURNS uuid
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('mobvibe.replay ' || p_copy, 0));
    IF EXISTS (SELECT FROM public.job_audit a WHERE a.copy = p_copy AND a.job_id = p_id)
       OR public.replay_jobs(ARRAY[p_id], p_payload, p_prompt, p_by, p_reason, p_copy, NULL) = 1
    THEN
        RETURN p_copy;
    END IF;
    RETURN NULL;
END $$;
