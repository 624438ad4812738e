-- The conversation of a session with the model, written by the attempt that runs its turn: see turns.sql. Each function
-- returns whether the turn is this attempt's.

-- add_messages: stores messages from p_position on, the number of those that the attempt knows. p_begins: the conversation
-- begins with the first of them, and earlier ones are only kept. p_prompts: what the user has sent that is in them, by
-- its number in session_inbox. Raises an error when another message has that place. Index: primary keys.
CREATE OR REPLACE FUNCTION public.add_messages(
    p_job uuid, p_fence bigint, p_position integer, p_begins boolean, p_roles text[], p_contents json[], p_prompts bigint[],
    p_types text[], p_data jsonb[]) RETURNS boolean
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    held public.session_turns;
    stored integer;
BEGIN
    SELECT h.* INTO held FROM public.hold_turn(p_job, p_fence) h;
    IF held.state IS DISTINCT FROM 'running' THEN
        RETURN false;
    END IF;
    INSERT INTO public.session_messages AS m (session_id, "position", begins, turn, job_id, fence, role, content)
    SELECT held.session_id, p_position + n.place - 1, p_begins AND n.place = 1, held.turn, p_job, p_fence, n.role, n.content
    FROM unnest(p_roles, p_contents) WITH ORDINALITY AS n (role, content, place)
    ON CONFLICT (session_id, "position") DO NOTHING;
    GET DIAGNOSTICS stored = ROW_COUNT;
    IF stored = 0 AND EXISTS (
        SELECT FROM public.session_messages m
        WHERE m.session_id = held.session_id AND m."position" = p_position AND m.job_id = p_job AND m.fence = p_fence)
    THEN
        RETURN true; -- stored before, and the answer was lost
    ELSIF stored < cardinality(p_roles) THEN
        RAISE 'session % has a message % already', held.session_id, p_position;
    END IF;
    UPDATE public.session_inbox i SET taken_at = clock_timestamp(), job_id = p_job
    WHERE i.session_id = held.session_id AND i.number = ANY (p_prompts) AND i.taken_at IS NULL;
    PERFORM public.add_turn_events(held.session_id, p_types, p_data);
    RETURN true;
END $$;

-- start_call: stores that a tool call starts, before it does. One that an earlier attempt has started keeps its fence.
-- Index: primary keys.
CREATE OR REPLACE FUNCTION public.start_call(
    p_job uuid, p_fence bigint, p_call text, p_tool text, p_input json, p_types text[], p_data jsonb[]) RETURNS boolean
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    held public.session_turns;
BEGIN
    SELECT h.* INTO held FROM public.hold_turn(p_job, p_fence) h;
    IF held.state IS DISTINCT FROM 'running' THEN
        RETURN false;
    END IF;
    INSERT INTO public.session_calls (session_id, call_id, "position", turn, tool, input, started_fence)
    SELECT held.session_id, p_call, coalesce(max(m."position"), 0), held.turn, p_tool, p_input, p_fence
    FROM public.session_messages m WHERE m.session_id = held.session_id
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM public.add_turn_events(held.session_id, p_types, p_data);
    END IF;
    RETURN true;
END $$;

-- finish_call: stores the result of a tool call that was started. One that has a result keeps it. Raises an error for a
-- call that was not started. Index: primary key.
CREATE OR REPLACE FUNCTION public.finish_call(
    p_job uuid, p_fence bigint, p_call text, p_result json, p_types text[], p_data jsonb[]) RETURNS boolean
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    held public.session_turns;
BEGIN
    SELECT h.* INTO held FROM public.hold_turn(p_job, p_fence) h;
    IF held.state IS DISTINCT FROM 'running' THEN
        RETURN false;
    END IF;
    UPDATE public.session_calls c SET result = p_result, finished_fence = p_fence, finished_at = clock_timestamp()
    WHERE c.session_id = held.session_id AND c.call_id = p_call AND c.finished_fence IS NULL;
    IF FOUND THEN
        PERFORM public.add_turn_events(held.session_id, p_types, p_data);
    ELSIF NOT EXISTS (
        SELECT FROM public.session_calls c WHERE c.session_id = held.session_id AND c.call_id = p_call)
    THEN
        RAISE 'session % has no call %', held.session_id, p_call;
    END IF;
    RETURN true;
END $$;
