-- Sessions and events as they were. The column seq goes, if it is the bridge's: nothing numbers events any more, and one
-- without a number comes before those that have one. session_streams knows the last number of each session: if the bridge
-- comes again, it goes on from there.

DROP TRIGGER IF EXISTS on_session_deleted ON public.coding_sessions;
DROP TRIGGER IF EXISTS on_event_created ON public.session_events;
DROP TRIGGER IF EXISTS on_event_moved ON public.session_events;
DROP TRIGGER IF EXISTS on_event_committed ON public.session_events;

DO $do$
DECLARE
    step record;
BEGIN
    IF to_regclass('public.adopted_definitions') IS NULL THEN
        ALTER TABLE public.session_events DROP COLUMN IF EXISTS seq;
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM public.adopted_definitions d WHERE d.kind = 'column' AND d.name = 'session_events.seq') THEN
        ALTER TABLE public.session_events DROP COLUMN IF EXISTS seq;
    END IF;
    FOR step IN
        SELECT d.kind, d.name, d.definition FROM public.adopted_definitions d
        WHERE d.kind IN ('constraint', 'policy', 'row security', 'table rights') AND d.definition NOT LIKE '%public.coding_jobs %'
        ORDER BY d.kind, d.name
    LOOP
        CONTINUE WHEN step.kind = 'constraint' AND EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.conname = step.name
                                                           AND c.conrelid = 'public.session_events'::regclass);
        CONTINUE WHEN step.kind = 'policy' AND NOT EXISTS (SELECT FROM pg_catalog.pg_policies p WHERE p.policyname = step.name
                                                           AND p.schemaname = 'public' AND p.tablename = 'session_events');
        EXECUTE step.definition;
    END LOOP;
END $do$;
