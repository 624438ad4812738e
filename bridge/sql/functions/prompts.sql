-- What the user of a session sends: prompts, answers, the wish to go on or to stop. Each locks the session, as begin_turn
-- and end_turn do. None
-- gives a row for a session that is not p_user's; NULL is an operator, who may act on any.

-- enqueue_sent_prompt: the first prompt that nobody has taken becomes the prompt of a new job, for the actor of the
-- session's last turn. Returns the job; NULL: there is none. The caller has locked the session. Index:
-- session_inbox_waiting, session_turns' primary key.
CREATE OR REPLACE FUNCTION public.enqueue_sent_prompt(p_session uuid) RETURNS uuid
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    sent record;
    job uuid;
BEGIN
    SELECT i.number, i.prompt INTO sent FROM public.session_inbox i
    WHERE i.session_id = p_session AND i.taken_at IS NULL ORDER BY i.number LIMIT 1;
    IF FOUND THEN
        job := public.enqueue_turn(p_session, sent.prompt, '{}');
        UPDATE public.session_inbox i SET taken_at = clock_timestamp(), job_id = job WHERE i.number = sent.number;
    END IF;
    RETURN job;
END $$;

-- enqueue_turn: inserts a job for a turn of a session, for the actor and with the priority of its last turn, or of its
-- first job, if that has begun none. It names the repository that the session starts from, as the first job does, whose
-- clone may have failed. Index: jobs_of_session, session_turns_job_id_key.
CREATE OR REPLACE FUNCTION public.enqueue_turn(p_session uuid, p_prompt text, p_payload jsonb) RETURNS uuid
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    before record;
    repository jsonb;
    job uuid;
BEGIN
    SELECT j.actor, j.priority INTO before
    FROM public.coding_jobs j LEFT JOIN public.session_turns t ON t.job_id = j.id
    WHERE j.session_id = p_session ORDER BY t.turn DESC NULLS LAST, j.created_at LIMIT 1;
    SELECT j.payload -> 'repository' INTO repository FROM public.coding_jobs j
    WHERE j.session_id = p_session AND j.payload ? 'repository' LIMIT 1;
    PERFORM pg_catalog.set_config('search_path', 'public', true); -- of the host's triggers, as in update_sessions
    INSERT INTO public.coding_jobs (session_id, prompt, payload, actor, priority)
    VALUES (p_session, p_prompt, p_payload || jsonb_strip_nulls(jsonb_build_object('repository', repository)), coalesce(before.actor, 'run_coding_session'), coalesce(before.priority, 0))
    RETURNING id INTO job;
    RETURN job;
END $$;

-- open_session: locks a session of this user. Returns `expired` when it can take nothing more, `asked` when a question is
-- open, `working` when a job will take what is sent, and `idle` when none will. NULL: it is not this user's. Index:
-- primary key, session_turns_open, jobs_of_session.
CREATE OR REPLACE FUNCTION public.open_session(p_session uuid, p_user uuid) RETURNS text
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    is_over boolean;
BEGIN
    SELECT s.status = 'expired' OR s.expires_at < clock_timestamp() INTO is_over FROM public.coding_sessions s
    WHERE s.id = p_session AND (p_user IS NULL OR s.user_id = p_user) FOR NO KEY UPDATE;
    RETURN CASE
        WHEN NOT FOUND THEN NULL
        WHEN EXISTS (SELECT FROM public.session_turns t WHERE t.session_id = p_session AND t.state = 'asked')
            THEN CASE WHEN is_over THEN 'expired' ELSE 'asked' END
        WHEN EXISTS (
            SELECT FROM public.coding_jobs j
            WHERE j.session_id = p_session AND j.status IN ('pending', 'processing') AND j.cancel_requested_at IS NULL
              AND NOT EXISTS (SELECT FROM public.session_turns t WHERE t.job_id = j.id AND t.state <> 'running'))
            THEN 'working'
        WHEN is_over THEN 'expired'
        ELSE 'idle'
    END;
END $$;

-- send_prompt: during a turn the prompt goes to the inbox, which the turn takes it from; else a job is inserted for it. A
-- prompt while a question is open is its answer. `state` is that of open_session, before. A session at work that has p_most
-- prompts that nobody has taken is `full`; one that is idle begins to take them. Index: session_inbox_waiting.
CREATE OR REPLACE FUNCTION public.send_prompt(p_session uuid, p_user uuid, p_prompt text, p_most integer)
RETURNS TABLE (state text, job_id uuid)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    state := public.open_session(p_session, p_user);
    IF state = 'asked' THEN
        job_id := public.answer_open_question(p_session, p_prompt);
    ELSIF state = 'working' AND p_most <= (
        SELECT count(*) FROM public.session_inbox i WHERE i.session_id = p_session AND i.taken_at IS NULL)
    THEN
        state := 'full';
    ELSIF state IN ('idle', 'working') THEN
        INSERT INTO public.session_inbox (session_id, prompt) VALUES (p_session, p_prompt);
        IF state = 'idle' THEN
            job_id := public.enqueue_sent_prompt(p_session);
        END IF;
    END IF;
    IF state IS NOT NULL THEN
        RETURN NEXT;
    END IF;
END $$;

-- answer_question: answers the open question of a session, once. `state` is that of open_session, before: only `asked`
-- was answered. p_call says which question is meant; another one that is open is `other`. NULL: the open one.
CREATE OR REPLACE FUNCTION public.answer_question(p_session uuid, p_user uuid, p_call text, p_answer text)
RETURNS TABLE (state text, job_id uuid)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    state := public.open_session(p_session, p_user);
    IF state = 'asked' AND p_call <> coalesce((
        SELECT t.question ->> 'callId' FROM public.session_turns t WHERE t.session_id = p_session AND t.state = 'asked'), '')
    THEN
        state := 'other';
    ELSIF state = 'asked' THEN
        job_id := public.answer_open_question(p_session, p_answer);
    END IF;
    IF state IS NOT NULL THEN
        RETURN NEXT;
    END IF;
END $$;

-- answer_open_question: the answer becomes a new job: it is its prompt, and in its payload with the tool call that it is
-- the result of. A question about a budget has no such call: its answer is a prompt to go on with. It is no event yet: the
-- turn stores it as one, without secrets. The caller has locked the session.
CREATE OR REPLACE FUNCTION public.answer_open_question(p_session uuid, p_answer text) RETURNS uuid
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    call text;
BEGIN
    UPDATE public.session_turns t SET state = 'answered', answer = p_answer
    WHERE t.session_id = p_session AND t.state = 'asked' RETURNING t.question ->> 'callId' INTO call;
    RETURN public.enqueue_turn(p_session, p_answer, CASE
        WHEN call IS NULL THEN '{"continue": true}'
        ELSE jsonb_build_object('answer', jsonb_build_object('callId', call, 'text', p_answer)) END);
END $$;

-- continue_session: goes on where the last turn stopped: after a question about a budget, a failure or a cancel. `state`
-- is that of open_session, before: a job was inserted if it was `idle`, or `asked` about a budget (scope).
CREATE OR REPLACE FUNCTION public.continue_session(p_session uuid, p_user uuid)
RETURNS TABLE (state text, job_id uuid)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    state := public.open_session(p_session, p_user);
    IF state = 'asked' THEN
        UPDATE public.session_turns t SET state = 'answered'
        WHERE t.session_id = p_session AND t.state = 'asked' AND t.question ->> 'scope' IS NOT NULL;
    END IF;
    IF state = 'idle' OR FOUND THEN
        job_id := public.enqueue_turn(p_session, NULL, '{"continue": true}');
    END IF;
    IF state IS NOT NULL THEN
        RETURN NEXT;
    END IF;
END $$;

-- cancel_session: cancels the open jobs of a session, gives its open question up, and drops the prompts that nobody has
-- taken. Returns how many jobs were cancelled or will be; NULL: it is not this user's. Jobs are locked before sessions:
-- see cancel_jobs. Index: jobs_of_session, session_turns_open, session_inbox_waiting.
CREATE OR REPLACE FUNCTION public.cancel_session(p_session uuid, p_user uuid, p_by text) RETURNS bigint
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    cancelled bigint;
    jobs uuid[];
BEGIN
    PERFORM FROM public.coding_sessions s
    WHERE s.id = p_session AND (p_user IS NULL OR s.user_id = p_user) FOR KEY SHARE; -- as a DELETE: before its jobs
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    LOOP
        jobs := ARRAY(SELECT j.id FROM public.coding_jobs j WHERE j.session_id = p_session AND j.status IN ('pending', 'processing'));
        BEGIN
            cancelled := public.cancel_jobs(jobs, p_by, NULL, NULL);
            PERFORM public.open_session(p_session, p_user);
            -- The end of a turn, or a prompt, may have inserted a job before the session was locked. Now they wait.
            EXIT WHEN NOT EXISTS (
                SELECT FROM public.coding_jobs j
                WHERE j.session_id = p_session AND j.status IN ('pending', 'processing') AND j.id <> ALL (jobs));
            RAISE SQLSTATE 'MV001';
        EXCEPTION WHEN SQLSTATE 'MV001' THEN
            NULL;  -- that undoes it all, with its locks: the new job must be locked before the session
        END;
    END LOOP;
    DELETE FROM public.session_inbox i WHERE i.session_id = p_session AND i.taken_at IS NULL;
    UPDATE public.session_turns t SET state = 'abandoned' WHERE t.session_id = p_session AND t.state = 'asked';
    IF FOUND THEN
        PERFORM public.settle_sessions(ARRAY[p_session], 'failed', ARRAY['cancelled by ' || p_by]);
    END IF;
    RETURN cancelled;
END $$;
