-- What a role may write that acts for a user, as Supabase's `anon` and `authenticated` do: the columns that the job
-- table had before the bridge moved in, whatever the policies and grants of this database say.

-- may_choose_actor: EXECUTE on it is the right to insert a job of any actor for a role that row security applies to.
-- Roles it does not apply to (the owner, BYPASSRLS such as service_role) need no such right.
CREATE OR REPLACE FUNCTION public.may_choose_actor() RETURNS void
LANGUAGE sql SET search_path = '' AS $$ $$;

-- guard_job: refuses an INSERT that sets one of the bridge's columns, and an UPDATE that changes one. A default that
-- this database was given for such a column counts as not set. The place in the order of age is not theirs to choose.
CREATE OR REPLACE FUNCTION public.guard_job() RETURNS trigger
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    given jsonb := to_jsonb(NEW);
    allowed jsonb := '{}';
    chosen text;
    col record;
BEGIN
    IF has_function_privilege('public.may_choose_actor()', 'EXECUTE') THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        allowed := to_jsonb(OLD);
    ELSE
        NEW.seq := nextval('public.coding_jobs_seq');
    END IF;
    FOR col IN
        SELECT a.attname AS name, pg_get_expr(d.adbin, d.adrelid) AS value
        FROM pg_catalog.pg_attribute a
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = 'public.coding_jobs'::regclass AND NOT a.attisdropped AND a.attname IN (
            'actor', 'queue', 'payload', 'result', 'run_at', 'due', 'fence', 'exec', 'worker', 'lease_expires_at',
            'claimed_at', 'claimed_by', 'cancel_requested_at', 'crashes', 'releases')
    LOOP
        IF TG_OP = 'INSERT' AND col.value IS NOT NULL THEN
            EXECUTE 'SELECT to_jsonb(' || col.value || ')' INTO STRICT chosen;
            allowed := allowed || jsonb_build_object(col.name, chosen::jsonb);
        END IF;
        IF coalesce(given -> col.name, 'null') <> coalesce(allowed -> col.name, 'null') THEN
            RAISE insufficient_privilege USING
                MESSAGE = format('role %s may not set coding_jobs.%s', current_user, col.name),
                HINT = 'It may write the columns of the original table only. A role that may choose what runs needs: '
                       || format('GRANT EXECUTE ON FUNCTION public.may_choose_actor() TO %I', current_user);
        END IF;
    END LOOP;
    IF TG_OP = 'UPDATE' AND NEW.seq <> OLD.seq THEN
        RAISE insufficient_privilege USING MESSAGE = format('role %s may not set coding_jobs.seq', current_user);
    END IF;
    RETURN NEW;
END $$;

-- Its name comes first: what the other triggers change is not the caller's doing.
DROP TRIGGER IF EXISTS a_guard_job ON public.coding_jobs;
CREATE TRIGGER a_guard_job BEFORE INSERT OR UPDATE ON public.coding_jobs
    FOR EACH ROW WHEN (row_security_active('public.coding_jobs'::regclass)) EXECUTE FUNCTION public.guard_job();

DO $do$ BEGIN PERFORM public.mobvibe_close_rights(); END $do$;

-- The version of this schema, whoever applied the files: mobvibe, psql or the supabase CLI.
CREATE OR REPLACE FUNCTION public.mobvibe_schema_version() RETURNS integer
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$ SELECT 12 $$;
