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
