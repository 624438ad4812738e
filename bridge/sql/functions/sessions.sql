-- Sessions: their status follows that of their jobs.

-- completed_status: the status of a session whose jobs have all completed: it is paused while a question of its last turn
-- is open. It runs with the owner's rights: who may end a job needs no right on the turns. Index: session_turns_open.
CREATE OR REPLACE FUNCTION public.completed_status(p_session uuid) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM public.session_turns t WHERE t.session_id = p_session AND t.state = 'asked')
                THEN 'paused' ELSE 'completed' END
$$;

-- update_sessions: gives sessions the status that follows from their jobs. A session completes with the last of its
-- open jobs, or is paused. Its row is locked before open jobs are looked for: otherwise the last two jobs could each see the other
-- one open.
CREATE OR REPLACE FUNCTION public.update_sessions(p_sessions uuid[], p_status text, p_errors text[]) RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    found integer;
    changed integer;
BEGIN
    -- The host's triggers on its sessions may name tables and functions without a schema. Our own names all have one,
    -- and the path is set back when this function ends.
    PERFORM pg_catalog.set_config('search_path', 'public', true);
    SELECT count(*) INTO found
    FROM (SELECT FROM public.coding_sessions s WHERE s.id = ANY (p_sessions) ORDER BY s.id FOR NO KEY UPDATE) l;
    UPDATE public.coding_sessions s
    SET status = r.status,
        error_message = CASE p_status WHEN 'failed' THEN r.error END,
        started_at = CASE p_status WHEN 'active' THEN coalesce(s.started_at, this_moment) ELSE s.started_at END,
        completed_at = CASE WHEN r.status NOT IN ('active', 'paused') THEN this_moment END,
        updated_at = this_moment
    FROM (SELECT DISTINCT ON (u.id) u.id, u.error,
              CASE p_status WHEN 'completed' THEN public.completed_status(u.id) ELSE p_status END AS status
          FROM unnest(p_sessions, p_errors) AS u (id, error)) r
    WHERE s.id = r.id AND s.status <> 'expired'
      AND (p_status <> 'active' OR s.status <> 'active')
      AND (p_status <> 'completed' OR NOT EXISTS (
          SELECT FROM public.coding_jobs o WHERE o.session_id = s.id AND o.status IN ('pending', 'processing')));
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed < found AND EXISTS (
        SELECT FROM public.coding_sessions s
        WHERE s.id = ANY (p_sessions) AND s.status <> 'expired'
          AND s.status <> CASE p_status WHEN 'completed' THEN public.completed_status(s.id) ELSE p_status END
          AND (p_status <> 'completed' OR NOT EXISTS (
              SELECT FROM public.coding_jobs o WHERE o.session_id = s.id AND o.status IN ('pending', 'processing'))))
    THEN
        RAISE 'the update of its row was suppressed: see the triggers and rules of coding_sessions';
    END IF;
END $$;

-- settle_sessions: update_sessions, for jobs that have started or ended. The host's triggers, constraints and policies
-- may refuse the update: then each session is tried by itself, and one that is refused keeps its status, with a
-- warning. Its jobs start and end all the same.
-- A deferred constraint of coding_sessions would fail at the commit, and undo the jobs as well: it is checked here. What
-- the host's triggers write into other tables is checked at the commit all the same.
CREATE OR REPLACE FUNCTION public.settle_sessions(p_sessions uuid[], p_status text, p_errors text[]) RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    IF coalesce(cardinality(p_sessions), 0) = 0 THEN
        RETURN;
    END IF;
    BEGIN
        PERFORM public.update_sessions(p_sessions, p_status, p_errors);
        IF EXISTS (SELECT FROM pg_catalog.pg_constraint c
                   WHERE c.conrelid = 'public.coding_sessions'::regclass AND c.condeferred) THEN
            PERFORM public.check_at_once('public.coding_sessions', true);
            PERFORM public.check_at_once('public.coding_sessions', false);
        END IF;
    EXCEPTION
        WHEN lock_not_available OR transaction_rollback OR insufficient_resources OR system_error THEN
            RAISE;  -- tried again as a whole: another time it may get through
        WHEN OTHERS OR assert_failure THEN
            IF cardinality(p_sessions) = 1 THEN
                PERFORM public.note_refused_session(p_sessions[1], p_status, SQLERRM);
            ELSE
                FOR i IN 1 .. cardinality(p_sessions) LOOP
                    PERFORM public.settle_sessions(p_sessions[i:i], p_status, p_errors[i:i]);
                END LOOP;
            END IF;
    END;
END $$;
DROP FUNCTION IF EXISTS public.fail_sessions(uuid[], text[]); -- of the version before

-- note_refused_session: counts a session that could not be updated, in the queue of the job that started or ended, and
-- warns. It runs with the owner's rights: who may end a job needs no right on the counts. Index: jobs_of_session.
CREATE OR REPLACE FUNCTION public.note_refused_session(p_session uuid, p_status text, p_reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    INSERT INTO public.job_counts (queue, ever_session_refused)
    SELECT j.queue, 1 FROM public.coding_jobs j WHERE j.session_id = p_session ORDER BY j.updated_at DESC LIMIT 1;
    RAISE WARNING 'mobvibe: session % cannot be set to %: %', p_session, p_status, p_reason;
END $$;
