-- The end: what only the old claim used, rights once more, and the version.

-- Every status change paid for it.
DO $$ BEGIN
    IF to_regclass('public.coding_jobs_status_priority_idx') IS NOT NULL THEN
        DROP INDEX public.coding_jobs_status_priority_idx;
    END IF;
END $$;

DO $do$ BEGIN PERFORM public.mobvibe_close_rights(); END $do$;

-- The version of this schema, whoever applied the files: mobvibe, psql or the supabase CLI.
CREATE OR REPLACE FUNCTION public.mobvibe_schema_version() RETURNS integer
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$ SELECT 12 $$;
