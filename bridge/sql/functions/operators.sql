-- What operators do to a job. The change and its audit row are one transaction.

-- cancel_job: cancels a job that is pending or handed over at once. A running one is marked: its worker is notified
-- on its own channel, and stops it with its next heartbeat. Returns the status afterwards, 'processing' for a marked
-- job; NULL: there is no such job.
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

-- retry_job: makes a finished job run again, with all its retries; a pending one runs now. A job in processing stays
-- as it is. Returns the status afterwards; NULL: there is no such job.
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
        releases = 0, error_message = NULL, result = NULL, completed_at = NULL, cancel_requested_at = NULL,
        run_at = NULL, due = true, updated_at = clock_timestamp()
    WHERE j.id = p_id;
    INSERT INTO public.job_audit (job_id, action, done_by, reason, status_before, status_after)
    VALUES (p_id, 'retry', p_by, p_reason, job.status, 'pending');
    PERFORM pg_notify('new_job', jsonb_build_object('job_id', job.id, 'session_id', job.session_id,
        'priority', job.priority, 'created_at', job.created_at)::text);
    RETURN 'pending';
END $$;

-- replay_jobs: inserts a copy of each of these jobs, as they were when they were inserted, to run now. The old ones stay
-- as they are; job_audit says which copy is of which. p_payload, p_prompt: NULL leaves the old one. p_copy is the id of
-- the copy, for one job; NULL: a new one. Returns how many were inserted.
-- 3 attempts: as in enqueue (queries/jobs.sql). The setting is for one row at a time: the trigger takes it.
CREATE OR REPLACE FUNCTION public.replay_jobs(
    p_ids uuid[], p_payload jsonb, p_prompt text, p_by text, p_reason text, p_copy uuid) RETURNS bigint
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
        INSERT INTO public.job_audit (job_id, action, done_by, reason, status_before, status_after, copy)
        SELECT o.id, 'replay', p_by, p_reason, o.status, c.status, c.id FROM copies c JOIN old o ON o.copy = c.id
    )
    SELECT count(*) INTO copied FROM copies;
    RETURN copied;
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
       OR public.replay_jobs(ARRAY[p_id], p_payload, p_prompt, p_by, p_reason, p_copy) = 1
    THEN
        RETURN p_copy;
    END IF;
    RETURN NULL;
END $$;
