-- Pauses: no claim takes jobs from a paused queue (claim.sql, refusals.sql, suspects.sql, original.sql), and none of its
-- jobs is moved to another queue, where a claim would take it. What was claimed before runs.

-- pause_queue: pauses a queue. A queue that is paused already keeps its pause as it is. Returns the pause that holds now;
-- `changed`: this call made it.
CREATE OR REPLACE FUNCTION public.pause_queue(p_queue text, p_by text DEFAULT current_user, p_reason text DEFAULT NULL)
RETURNS TABLE (changed boolean, paused_at timestamptz, paused_by text, reason text)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('mobvibe.pauses')); -- a pause that is seen below is not ended meanwhile
    RETURN QUERY
    INSERT INTO public.queue_pauses AS p (queue, paused_by, reason) VALUES (p_queue, p_by, p_reason)
    ON CONFLICT (queue) DO NOTHING
    RETURNING true, p.paused_at, p.paused_by, p.reason;
    IF NOT FOUND THEN
        RETURN QUERY SELECT false, p.paused_at, p.paused_by, p.reason FROM public.queue_pauses p WHERE p.queue = p_queue;
        RETURN;
    END IF;
    INSERT INTO public.operator_audit (action, target, done_by, reason) VALUES ('pause_queue', p_queue, p_by, p_reason);
END $$;

-- resume_queue: ends the pause of a queue, and notifies bridges and Node workers that jobs wait there. Returns the pause
-- that it ended; no row: the queue was not paused.
CREATE OR REPLACE FUNCTION public.resume_queue(p_queue text, p_by text DEFAULT current_user, p_reason text DEFAULT NULL)
RETURNS TABLE (paused_at timestamptz, paused_by text, reason text)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('mobvibe.pauses'));
    RETURN QUERY
    DELETE FROM public.queue_pauses p WHERE p.queue = p_queue RETURNING p.paused_at, p.paused_by, p.reason;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO public.operator_audit (action, target, done_by, reason) VALUES ('resume_queue', p_queue, p_by, p_reason);
    PERFORM pg_notify('new_job', json_build_object('count', (
        SELECT coalesce(sum(c.pending), 0) FROM public.job_counts c WHERE c.queue = p_queue))::text);
END $$;
