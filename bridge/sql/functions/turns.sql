-- Turns of coding sessions. A turn is the work of one job, however many attempts that takes. Each write names the job and
-- the fence of the attempt, locks the job's row, and is refused when that attempt is not the current one, or its turn is
-- over: then it stores nothing. What it stores, it stores together with its events. Each may be repeated after its answer
-- was lost: it then changes nothing, and answers the same.
--
-- Locks are taken in the order session, job, numbers of events: the session as a foreign key would do, because a DELETE
-- of a session locks that before its jobs.

-- hold_turn: the turn that this attempt runs or has just ended, with the job's row locked until the transaction ends. No
-- row: the attempt is not the job's current one, or has begun no turn. Index: primary key, session_turns_job_id_key.
CREATE OR REPLACE FUNCTION public.hold_turn(p_job uuid, p_fence bigint) RETURNS SETOF public.session_turns
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    PERFORM FROM public.coding_sessions s
    WHERE s.id = (SELECT t.session_id FROM public.session_turns t WHERE t.job_id = p_job) FOR KEY SHARE;
    PERFORM FROM public.coding_jobs j
    WHERE j.id = p_job AND j.status || '' = 'processing' AND j.fence = p_fence FOR NO KEY UPDATE;
    IF FOUND THEN
        RETURN QUERY SELECT t.* FROM public.session_turns t WHERE t.job_id = p_job AND t.fence = p_fence;
    END IF;
END $$;

-- begin_turn: an attempt takes its session to run its turn, or to go on with it. No row: the attempt is not the job's
-- current one. `state` says what follows:
-- running   the turn is this attempt's. `messages`: how many of its messages are stored, 0 at the beginning;
--           `position`: that of the next message of the session
-- ended     it ended before, and only its report was lost: nothing is left to do
-- busy      another job of the session has not ended its turn: try again later
-- expired   the session has expired, or there is none
-- A question that is still open is given up, and so is the turn of a job that has ended without ending it. Reservations
-- of earlier attempts are freed: no other turn of this session runs. Index: primary keys, session_turns_open,
-- session_turns_job_id_key, session_requests_of_session.
CREATE OR REPLACE FUNCTION public.begin_turn(p_job uuid, p_fence bigint, p_lifetime interval)
RETURNS TABLE (session_id uuid, turn integer, state text, messages bigint, "position" integer)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    session uuid;
    mine public.session_turns;
    other public.session_turns;
    last integer;
BEGIN
    PERFORM FROM public.coding_sessions s
    WHERE s.id = (SELECT j.session_id FROM public.coding_jobs j WHERE j.id = p_job) FOR KEY SHARE;
    SELECT j.session_id INTO session FROM public.coding_jobs j
    WHERE j.id = p_job AND j.status || '' = 'processing' AND j.fence = p_fence FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM FROM public.coding_sessions s WHERE s.id = session AND s.status <> 'expired' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT session, 0, 'expired', 0::bigint, 0;
        RETURN;
    END IF;
    SELECT t.* INTO mine FROM public.session_turns t WHERE t.job_id = p_job;
    IF mine.state = 'finished' OR mine.question IS NOT NULL THEN -- whatever became of its question
        RETURN QUERY SELECT session, mine.turn, 'ended', 0::bigint, 0;
        RETURN;
    END IF;
    SELECT t.* INTO other FROM public.session_turns t
    WHERE t.session_id = session AND t.state IN ('running', 'asked') AND t.job_id <> p_job;
    IF other.state = 'running' AND EXISTS (
        SELECT FROM public.coding_jobs j WHERE j.id = other.job_id AND j.status IN ('pending', 'processing'))
    THEN
        RETURN QUERY SELECT session, other.turn, 'busy', 0::bigint, 0;
        RETURN;
    END IF;
    UPDATE public.session_turns t SET state = 'abandoned', ended_at = clock_timestamp()
    WHERE t.session_id = other.session_id AND t.turn = other.turn;
    SELECT coalesce(max(t.turn), 0) INTO last FROM public.session_turns t WHERE t.session_id = session;
    -- A job that an operator runs again after others had their turns begins a new one.
    INSERT INTO public.session_turns AS t (session_id, turn, job_id, fence) VALUES (session, last + 1, p_job, p_fence)
    ON CONFLICT (job_id) DO UPDATE
    SET fence = p_fence, state = 'running', ended_at = NULL,
        turn = CASE WHEN t.turn = last THEN t.turn ELSE excluded.turn END;
    SELECT t.* INTO mine FROM public.session_turns t WHERE t.job_id = p_job;
    DELETE FROM public.session_requests u WHERE u.session_id = session AND u.cost_usd IS NULL;
    PERFORM public.prolong_session(session, p_lifetime);
    RETURN QUERY SELECT session, mine.turn, 'running',
        (SELECT count(*) FROM public.session_messages m WHERE m.session_id = session AND m.turn = mine.turn),
        (SELECT coalesce(max(m."position"), -1) + 1 FROM public.session_messages m WHERE m.session_id = session);
END $$;

-- end_turn: ends the turn, as `finished`, or as `asked` with a question. The tool call that a question is the result of
-- counts as started, so that an answer can finish it. Once the job is to be cancelled, a question is given up at once, as
-- cancel_session would do: nobody is to answer it. What the user has sent meanwhile and nobody has taken becomes the
-- prompt of a new job. Returns whether the turn is this attempt's. Index: session_messages' primary key.
CREATE OR REPLACE FUNCTION public.end_turn(
    p_job uuid, p_fence bigint, p_state text, p_question jsonb, p_lifetime interval, p_types text[], p_data jsonb[])
RETURNS boolean
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    held public.session_turns;
    is_given_up boolean;
BEGIN
    SELECT h.* INTO held FROM public.hold_turn(p_job, p_fence) h;
    IF held.state IS DISTINCT FROM 'running' THEN
        -- One that its own attempt finds given up had asked: a turn without an end is given up with its job.
        RETURN coalesce(held.state = p_state OR held.state IN ('answered', 'abandoned') AND p_state = 'asked', false);
    END IF;
    SELECT p_state = 'asked' AND j.cancel_requested_at IS NOT NULL INTO is_given_up
    FROM public.coding_jobs j WHERE j.id = p_job;
    PERFORM FROM public.coding_sessions s WHERE s.id = held.session_id FOR NO KEY UPDATE; -- as who sends a prompt does
    UPDATE public.session_turns t
    SET state = CASE WHEN is_given_up THEN 'abandoned' ELSE p_state END, question = p_question, ended_at = clock_timestamp(),
        progress = CASE p_state WHEN 'finished' THEN 1 ELSE t.progress END
    WHERE t.job_id = p_job;
    IF p_question ->> 'callId' IS NOT NULL THEN
        INSERT INTO public.session_calls (session_id, call_id, "position", turn, tool, input, started_fence)
        SELECT held.session_id, p_question ->> 'callId', coalesce(max(m."position"), 0), held.turn, 'ask', p_question::json, p_fence
        FROM public.session_messages m WHERE m.session_id = held.session_id
        ON CONFLICT DO NOTHING;
    END IF;
    DELETE FROM public.session_requests u WHERE u.session_id = held.session_id AND u.cost_usd IS NULL;
    PERFORM public.prolong_session(held.session_id, p_lifetime);
    PERFORM public.add_turn_events(held.session_id, p_types, p_data);
    IF p_state = 'finished' THEN
        PERFORM public.enqueue_sent_prompt(held.session_id);
    END IF;
    RETURN true;
END $$;

-- set_turn_progress: how much of its work the turn has done, as a fraction. Returns whether the turn is this attempt's.
CREATE OR REPLACE FUNCTION public.set_turn_progress(
    p_job uuid, p_fence bigint, p_progress real, p_types text[], p_data jsonb[]) RETURNS boolean
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    held public.session_turns;
BEGIN
    SELECT h.* INTO held FROM public.hold_turn(p_job, p_fence) h;
    IF held.state IS DISTINCT FROM 'running' THEN
        RETURN false;
    END IF;
    IF held.progress IS DISTINCT FROM p_progress THEN
        UPDATE public.session_turns t SET progress = p_progress WHERE t.job_id = p_job;
        PERFORM public.add_turn_events(held.session_id, p_types, p_data);
    END IF;
    RETURN true;
END $$;

-- prolong_session: lets a session expire no sooner than p_lifetime from now. A host's trigger or constraint may refuse
-- that: then it keeps its time, with a warning, and its turn goes on. The path is set as in update_sessions.
CREATE OR REPLACE FUNCTION public.prolong_session(p_session uuid, p_lifetime interval) RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'public', true);
    UPDATE public.coding_sessions s SET expires_at = clock_timestamp() + p_lifetime
    WHERE s.id = p_session AND s.expires_at < clock_timestamp() + p_lifetime;
EXCEPTION
    WHEN lock_not_available OR transaction_rollback OR insufficient_resources OR system_error THEN
        RAISE;
    WHEN OTHERS OR assert_failure THEN
        PERFORM public.note_refused_session(p_session, 'a later end', SQLERRM);
END $$;
