-- The version of this schema, whoever applied it: mobvibe, psql or the supabase CLI. Applied last: it says that all
-- the rest is there.
CREATE OR REPLACE FUNCTION public.mobvibe_schema_version() RETURNS integer
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$ SELECT 12 $$;
