-- Session events, written for a running attempt and read back in order.
-- The JSON column is called data, in some databases event_data: the functions hide the difference.

DO $do$
DECLARE
    json_column text;
BEGIN
    SELECT a.attname INTO STRICT json_column FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = 'public.session_events'::regclass AND a.attname IN ('data', 'event_data') AND NOT a.attisdropped
    ORDER BY a.attname LIMIT 1;

    -- add_session_events: stores events whose attempt is still the job's own, in the order given, each id once.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION public.add_session_events(
            p_ids uuid[], p_jobs uuid[], p_execs uuid[], p_types text[], p_data jsonb[]) RETURNS integer
        LANGUAGE plpgsql SET search_path = ''
            SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
        AS $fn$
        DECLARE
            stored integer;
        BEGIN
            INSERT INTO public.session_events (id, session_id, event_type, %1$I, created_at)
            SELECT e.id, j.session_id, e.type, e.data, clock_timestamp()
            FROM unnest(p_ids, p_jobs, p_execs, p_types, p_data) WITH ORDINALITY AS e (id, job, exec, type, data, position)
            JOIN public.coding_jobs j
              ON j.id = e.job AND j.exec = e.exec AND j.status || '' = 'processing' AND j.session_id IS NOT NULL
            ORDER BY e.position
            ON CONFLICT DO NOTHING;
            GET DIAGNOSTICS stored = ROW_COUNT;
            RETURN stored;
        END $fn$
    $sql$, json_column);

    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION public.get_session_events(p_session uuid, p_limit integer DEFAULT 1000)
        RETURNS TABLE (id uuid, event_type text, data jsonb, created_at timestamptz)
        LANGUAGE sql STABLE SET search_path = ''
        AS $fn$
            SELECT e.id, e.event_type, e.%1$I, e.created_at FROM public.session_events e
            WHERE e.session_id = p_session ORDER BY e.seq DESC NULLS LAST, e.created_at DESC LIMIT p_limit
        $fn$
    $sql$, json_column);
END $do$;

DO $do$ BEGIN PERFORM public.mobvibe_close_rights(); END $do$;
