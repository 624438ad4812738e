-- Money: what requests to the model cost, counted before they are made, against budgets of a turn, a session and a user's
-- day (UTC).

-- reserve_usage: sets p_usd aside, the most that the next request of the turn can cost. It may be made while something is
-- left of each budget, counting what others have set aside: so a budget is exceeded by at most one request, however many
-- jobs ask at once. A user's jobs ask one after the other. A budget of NULL does not count. That of a session counts once
-- more for each time that its user let it go on. An earlier reservation of the same job is freed: its request has failed.
-- No row: the turn is not this attempt's. Without a `scope` the request may be made; else that budget is used up.
-- Index: session_requests_of_session, session_requests_of_user, primary keys.
CREATE OR REPLACE FUNCTION public.reserve_usage(
    p_job uuid, p_fence bigint, p_id uuid, p_usd numeric, p_turn_usd numeric, p_session_usd numeric, p_day_usd numeric)
RETURNS TABLE (scope text, spent_usd numeric, limit_usd numeric)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    held public.session_turns;
    owner uuid;
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    of_turn numeric;
    of_session numeric;
    of_day numeric;
    allowed numeric;
BEGIN
    SELECT h.* INTO held FROM public.hold_turn(p_job, p_fence) h;
    IF held.state IS DISTINCT FROM 'running' THEN
        RETURN;
    END IF;
    SELECT s.user_id INTO owner FROM public.coding_sessions s WHERE s.id = held.session_id;
    PERFORM pg_advisory_xact_lock(hashtext('mobvibe.usage'), hashtext(owner::text));
    DELETE FROM public.session_requests u WHERE u.session_id = held.session_id AND u.cost_usd IS NULL;
    SELECT coalesce(sum(u.cost_usd) FILTER (WHERE u.turn = held.turn), 0), coalesce(sum(u.cost_usd), 0)
    INTO of_turn, of_session FROM public.session_requests u WHERE u.session_id = held.session_id;
    SELECT coalesce(sum(coalesce(u.cost_usd, u.reserved_usd)), 0) INTO of_day FROM public.session_requests u
    WHERE u.user_id = owner AND u.day = today AND (u.cost_usd IS NOT NULL OR EXISTS (
        SELECT FROM public.coding_jobs j WHERE j.id = u.job_id AND j.status || '' = 'processing' AND j.fence = u.fence));
    SELECT p_session_usd * (1 + count(*)) INTO allowed FROM public.session_turns t
    WHERE t.session_id = held.session_id AND t.state = 'answered' AND t.question ->> 'scope' = 'session';
    RETURN QUERY
    SELECT b.scope, b.spent, b.allowed
    FROM (VALUES (1, 'turn', of_turn, p_turn_usd), (2, 'session', of_session, allowed), (3, 'user', of_day, p_day_usd))
        AS b (place, scope, spent, allowed)
    WHERE b.spent >= b.allowed ORDER BY b.place LIMIT 1;
    IF NOT FOUND THEN
        INSERT INTO public.session_requests (id, user_id, day, session_id, turn, job_id, fence, reserved_usd)
        VALUES (p_id, owner, today, held.session_id, held.turn, p_job, p_fence, p_usd);
        RETURN QUERY SELECT NULL, NULL::numeric, NULL::numeric;
    END IF;
END $$;

-- spend_usage: what a request has used, in place of its reservation. Returns whether the turn is this attempt's. The cost
-- is stored also when it is not: the request was made. When the session was deleted, it is stored only if the
-- reservation is still there: once that was freed, by the next attempt for example, nothing says whose the request was.
-- Once: a repeated call changes nothing. Index: primary keys, session_turns_job_id_key.
CREATE OR REPLACE FUNCTION public.spend_usage(
    p_job uuid, p_fence bigint, p_id uuid, p_model text, p_input bigint, p_output bigint, p_cache_write bigint,
    p_cache_read bigint, p_usd numeric) RETURNS boolean
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    UPDATE public.session_requests u
    SET cost_usd = p_usd, model = p_model, input_tokens = p_input, output_tokens = p_output,
        cache_write_tokens = p_cache_write, cache_read_tokens = p_cache_read
    WHERE u.id = p_id AND u.cost_usd IS NULL;
    IF NOT FOUND THEN  -- the reservation was freed, or the cost is stored
        INSERT INTO public.session_requests (id, user_id, session_id, turn, job_id, fence, reserved_usd, cost_usd, model,
                                             input_tokens, output_tokens, cache_write_tokens, cache_read_tokens)
        SELECT p_id, s.user_id, s.id, t.turn, p_job, p_fence, 0, p_usd, p_model, p_input, p_output, p_cache_write, p_cache_read
        FROM public.session_turns t JOIN public.coding_sessions s ON s.id = t.session_id
        WHERE t.job_id = p_job
        ON CONFLICT (id) DO NOTHING;
    END IF;
    RETURN EXISTS (SELECT FROM public.hold_turn(p_job, p_fence) h WHERE h.state = 'running');
END $$;
