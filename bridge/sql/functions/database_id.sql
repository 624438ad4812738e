-- mobvibe_database_id: tells this database from every other one whose bridge may use the same Redis. Made once. A
-- dump or a copy keeps it, so the database's name is always used with it. It is not a secret: everybody may call it,
-- as the schema's version.
DO $do$
BEGIN
    IF to_regprocedure('public.mobvibe_database_id()') IS NULL THEN
        EXECUTE format('CREATE FUNCTION public.mobvibe_database_id() RETURNS text
                        LANGUAGE sql IMMUTABLE SET search_path = '''' AS %L', format('SELECT %L::text', gen_random_uuid()));
    END IF;
END $do$;
