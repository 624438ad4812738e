-- The bridge's functions, and what was written down for the way back. A bridge or worker that was forgotten can do
-- nothing from here on. What holds data, or rights that the host has granted, stays: tables, columns,
-- mobvibe_database_id(), may_choose_actor().

DO $do$
DECLARE
    listed text;
BEGIN
    SELECT string_agg(p.oid::regprocedure::text, ', ') INTO listed
    FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND p.proname IN ('functions');
    IF listed IS NOT NULL THEN
        EXECUTE 'DROP FUNCTION ' || listed; -- in one statement: some call others
    END IF;
END $do$;
DROP TABLE IF EXISTS public.adopted_definitions;
