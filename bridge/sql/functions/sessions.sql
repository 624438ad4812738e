-- Sessions: their status follows that of their jobs.

-- settle_sessions: gives sessions the status that follows from their jobs. A session completes with the last of its
-- open jobs. Its row is locked before open jobs are looked for: otherwise the last two jobs could each see the other
-- one open.
CREATE OR REPLACE FUNCTION public.settle_sessions(p_sessions uuid[], p_status text, p_errors text[]) RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    IF coalesce(cardinality(p_sessions), 0) = 0 THEN
        RETURN;
    END IF;
    -- The host's triggers on its sessions may name tables and functions without a schema. Our own names all have one,
    -- and the path is set back when this function ends.
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

-- fail_sessions: sets sessions to 'failed' whose jobs failed or were cancelled. A host's trigger or constraint may
-- refuse that: the job has ended all the same, and the server's log says which session was left as it was.
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
