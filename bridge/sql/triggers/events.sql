-- Session events, written for a running attempt and read back in order.
-- The JSON column is named data, in some databases event_data: the functions hide the difference.
--
-- The events of a session are numbered without gaps, in the order of commit: a reader that goes on from the last
-- number it saw misses none. A transaction that takes numbers keeps the session's row in session_streams locked until
-- it ends. So that nobody waits long for that, an INSERT from anywhere takes its numbers as the last thing that its
-- transaction does. Until then its events have provisional numbers, negative ones, which only its own transaction
-- sees.

-- take_event_numbers: takes p_count new numbers, and locks the session's stream. Returns the number before the first
-- of them. They follow those that are stored, whoever gave these: the version before, or a restored backup. Index:
-- session_events_number.
CREATE OR REPLACE FUNCTION public.take_event_numbers(p_session uuid, p_count bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    last bigint;
BEGIN
    INSERT INTO public.session_streams AS s (session_id, last_seq)
    VALUES (p_session, p_count + coalesce(
        (SELECT max(e.seq) FROM public.session_events e WHERE e.session_id = p_session AND e.seq > 0), 0))
    ON CONFLICT (session_id) DO UPDATE SET last_seq = greatest(s.last_seq + p_count, excluded.last_seq)
    RETURNING s.last_seq INTO last;
    RETURN last - p_count;
END $$;

-- postpone_event_number: gives a new event its provisional number.
CREATE OR REPLACE FUNCTION public.postpone_event_number() RETURNS trigger
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    NEW.seq := -nextval('public.session_events_seq');
    RETURN NEW;
END $$;

-- number_events: called for each row; the first call numbers all events that this transaction inserted. Sessions come
-- in the order of their ids, so that no two transactions wait for each other. It runs with the owner's rights: a role
-- that may insert an event need not be able to change one.
-- It goes row by row: the plan of a join of all rows with their numbers would be the planner's choice, and others
-- wait meanwhile. Index: session_events_unnumbered, from the first row on, since dead entries lie before it.
CREATE OR REPLACE FUNCTION public.number_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    event record;
    before bigint;
BEGIN
    IF row_security_active('public.session_events'::regclass) THEN
        RAISE 'Role % cannot number events: row level security of session_events applies to it', current_user
            USING HINT = format('ALTER TABLE public.session_events NO FORCE ROW LEVEL SECURITY; or: ALTER ROLE %I BYPASSRLS', current_user);
    ELSIF NOT EXISTS (SELECT FROM public.session_events e WHERE e.seq = NEW.seq AND e.seq < 0) THEN
        RETURN NULL;
    END IF;
    FOR event IN
        SELECT e.session_id, e.seq, count(*) OVER (PARTITION BY e.session_id) AS events,
               row_number() OVER (PARTITION BY e.session_id ORDER BY e.seq DESC) AS place
        FROM public.session_events e WHERE e.seq <= NEW.seq AND e.seq < 0 ORDER BY e.session_id, e.seq DESC
    LOOP
        IF event.place = 1 THEN
            before := CASE WHEN event.session_id IS NOT NULL -- without a session there is no stream, and no number
                           THEN public.take_event_numbers(event.session_id, event.events) END;
        END IF;
        UPDATE public.session_events e SET seq = before + event.place WHERE e.seq = event.seq AND e.seq < 0;
        IF NOT FOUND THEN
            RAISE 'A rule or trigger of session_events keeps the number of an event from being written'
                USING HINT = 'mobvibe doctor --database names it.';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

DO $do$
DECLARE
    json_column text;
BEGIN
    SELECT a.attname INTO STRICT json_column FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = 'public.session_events'::regclass AND a.attname IN ('data', 'event_data') AND NOT a.attisdropped
    ORDER BY a.attname LIMIT 1;

    -- add_session_events: stores events whose attempt is still the job's latest one, in the order given, each id
    -- once. Returns how many. Sessions are locked first, as a foreign key would do: after the streams it would be a
    -- deadlock with a DELETE of a session. Attempts are read when the streams are locked, so that no event of an old
    -- attempt follows one of the next.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION public.add_session_events(
            p_ids uuid[], p_jobs uuid[], p_execs uuid[], p_types text[], p_data jsonb[]) RETURNS integer
        LANGUAGE plpgsql SET search_path = ''
        AS $fn$
        DECLARE
            streams uuid[];
            befores bigint[];
            stored integer;
        BEGIN
            PERFORM FROM public.coding_sessions s
            WHERE s.id IN (SELECT j.session_id FROM public.coding_jobs j WHERE j.id = ANY (p_jobs)) ORDER BY s.id FOR KEY SHARE;
            SELECT array_agg(c.session_id), array_agg(public.take_event_numbers(c.session_id, c.events)) INTO streams, befores
            FROM (SELECT j.session_id, count(*) AS events FROM unnest(p_jobs) AS e (job) JOIN public.coding_jobs j ON j.id = e.job
                  WHERE j.session_id IS NOT NULL GROUP BY j.session_id ORDER BY j.session_id) c;
            WITH given AS MATERIALIZED (
                SELECT DISTINCT ON (e.id) e.id, j.session_id, e.type, e.data, e.position
                FROM unnest(p_ids, p_jobs, p_execs, p_types, p_data) WITH ORDINALITY AS e (id, job, exec, type, data, position)
                JOIN public.coding_jobs j ON j.id = e.job AND j.exec = e.exec AND j.status || '' = 'processing'
                WHERE NOT EXISTS (SELECT FROM public.session_events o WHERE o.id = e.id)
                ORDER BY e.id, e.position
            )
            INSERT INTO public.session_events (id, session_id, event_type, %1$I, created_at, seq)
            SELECT g.id, g.session_id, g.type, g.data, clock_timestamp(),
                   s.before + row_number() OVER (PARTITION BY g.session_id ORDER BY g.position)
            FROM unnest(streams, befores) AS s (id, before) JOIN given g ON g.session_id = s.id;
            GET DIAGNOSTICS stored = ROW_COUNT;
            IF stored < cardinality(p_ids) THEN -- unused numbers go back: nobody else has seen them
                UPDATE public.session_streams t SET last_seq = s.before + (
                    SELECT count(*) FROM public.session_events e WHERE e.session_id = s.id AND e.seq > s.before)
                FROM unnest(streams, befores) AS s (id, before) WHERE t.session_id = s.id;
            END IF;
            RETURN stored;
        END $fn$
    $sql$, json_column);

    -- add_turn_events: appends events to a session, for a caller that has checked that it may, and locked the session as
    -- add_session_events does.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION public.add_turn_events(p_session uuid, p_types text[], p_data jsonb[]) RETURNS void
        LANGUAGE plpgsql SET search_path = ''
        AS $fn$
        DECLARE
            before bigint;
        BEGIN
            IF cardinality(p_types) > 0 THEN
                before := public.take_event_numbers(p_session, cardinality(p_types));
                INSERT INTO public.session_events (session_id, event_type, %1$I, created_at, seq)
                SELECT p_session, e.type, e.data, clock_timestamp(), before + e.place
                FROM unnest(p_types, p_data) WITH ORDINALITY AS e (type, data, place);
            END IF;
        END $fn$
    $sql$, json_column);

    -- get_session_events: the latest p_limit events of a session, the latest first. Index: session_events_number.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION public.get_session_events(p_session uuid, p_limit integer DEFAULT 1000)
        RETURNS TABLE (id uuid, event_type text, data jsonb, created_at timestamptz)
        LANGUAGE sql STABLE SET search_path = ''
        AS $fn$
            SELECT e.id, e.event_type, e.%1$I, e.created_at FROM public.session_events e
            WHERE e.session_id = p_session ORDER BY e.seq DESC NULLS LAST, e.created_at DESC LIMIT p_limit
        $fn$
    $sql$, json_column);

    -- session_events_after: up to p_limit events of a session behind the number p_after, in their order: what a client of
    -- Realtime has missed. Row security applies to who calls it. Index: session_events_number.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION public.session_events_after(p_session uuid, p_after bigint, p_limit integer DEFAULT 1000)
        RETURNS TABLE (seq bigint, id uuid, event_type text, data jsonb, created_at timestamptz)
        LANGUAGE sql STABLE SET search_path = ''
        AS $fn$
            SELECT e.seq, e.id, e.event_type, e.%1$I, e.created_at FROM public.session_events e
            WHERE e.session_id = p_session AND e.seq > greatest(p_after, 0) ORDER BY e.seq LIMIT least(p_limit, 1000)
        $fn$
    $sql$, json_column);

    -- follow_sessions: of each session up to p_limit events behind the number that goes with it, in their order. The
    -- same number again gives what has come since: no event is missed or repeated. Index: session_events_number.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION public.follow_sessions(p_sessions uuid[], p_afters bigint[], p_limit integer)
        RETURNS TABLE (session_id uuid, seq bigint, id uuid, event_type text, data jsonb, created_at timestamptz)
        LANGUAGE sql STABLE SET search_path = ''
        AS $fn$
            SELECT f.session_id, e.seq, e.id, e.event_type, e.data, e.created_at
            FROM unnest(p_sessions, p_afters) AS f (session_id, after) CROSS JOIN LATERAL (
                SELECT o.seq, o.id, o.event_type, o.%1$I AS data, o.created_at FROM public.session_events o
                WHERE o.session_id = f.session_id AND o.seq > f.after ORDER BY o.seq LIMIT p_limit) e
            ORDER BY f.session_id, e.seq
        $fn$
    $sql$, json_column);
END $do$;

-- For a row without a number, and for any row of a role that row security applies to: such a role may not choose
-- numbers.
DROP TRIGGER IF EXISTS on_event_created ON public.session_events;
CREATE TRIGGER on_event_created BEFORE INSERT ON public.session_events
    FOR EACH ROW WHEN (NEW.seq IS NULL OR NEW.seq < 0 OR row_security_active('public.session_events'::regclass))
    EXECUTE FUNCTION public.postpone_event_number();

-- An event that moves to another session gets a new number: its old one may be taken there, and a reader past it
-- would miss the event.
DROP TRIGGER IF EXISTS on_event_moved ON public.session_events;
CREATE TRIGGER on_event_moved BEFORE UPDATE OF session_id ON public.session_events
    FOR EACH ROW WHEN (NEW.session_id IS DISTINCT FROM OLD.session_id)
    EXECUTE FUNCTION public.postpone_event_number();

DROP TRIGGER IF EXISTS on_event_committed ON public.session_events;
CREATE CONSTRAINT TRIGGER on_event_committed AFTER INSERT OR UPDATE OF session_id ON public.session_events
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.seq < 0) EXECUTE FUNCTION public.number_events();

-- The version before had a default here. It is dropped last, when the triggers are there: a row must never stay
-- without a number, since such rows come first.
ALTER TABLE public.session_events ALTER COLUMN seq DROP DEFAULT;
