-- mobvibe_database_id: tells this database from every other one whose bridge may use the same Redis. Made once; a dump
-- and a copy keep it, so the database's name goes with it. No secret, and open to everybody as the schema's version is.
DO $do$
BEGIN
    IF to_regprocedure('public.mobvibe_database_id()') IS NULL THEN
        EXECUTE format('CREATE FUNCTION public.mobvibe_database_id() RETURNS text
                        LANGUAGE sql IMMUTABLE SET search_path = '''' AS %L', format('SELECT %L::text', gen_random_uuid()));
    END IF;
END $do$;
