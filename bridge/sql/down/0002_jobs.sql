-- The job table as the Node worker had it: in one transaction, with a strong lock for a moment. From here on bridges and
-- workers find no schema.

DROP TRIGGER IF EXISTS a_guard_job ON public.coding_jobs;
DROP TRIGGER IF EXISTS on_job_created ON public.coding_jobs;
DROP TRIGGER IF EXISTS on_job_status_changed ON public.coding_jobs;
DROP TRIGGER IF EXISTS on_job_without_queue ON public.coding_jobs;
DROP TRIGGER IF EXISTS on_job_run_at ON public.coding_jobs;
DROP TRIGGER IF EXISTS on_job_taken_by_hand ON public.coding_jobs;
DROP TRIGGER IF EXISTS on_job_deleted ON public.coding_jobs;
DROP TRIGGER IF EXISTS count_new_jobs ON public.coding_jobs;
DROP TRIGGER IF EXISTS count_changed_jobs ON public.coding_jobs;
DROP TRIGGER IF EXISTS count_deleted_jobs ON public.coding_jobs;
DROP TRIGGER IF EXISTS count_no_jobs ON public.coding_jobs;

-- What a bridge had claimed goes back, with no retry spent; what was claimed with claim_next_job() stays with its worker.
-- Only here, and once: later the same columns say nothing about who holds a row.
DO $$ BEGIN
    IF to_regprocedure('public.mobvibe_schema_version()') IS NOT NULL THEN
        WITH back AS (
            UPDATE public.coding_jobs
            SET status = CASE WHEN cancel_requested_at IS NULL THEN 'pending' ELSE 'failed' END,
                error_message = CASE WHEN cancel_requested_at IS NULL THEN error_message ELSE 'cancelled' END,
                completed_at = CASE WHEN cancel_requested_at IS NULL THEN completed_at ELSE clock_timestamp() END,
                lease_expires_at = NULL, updated_at = clock_timestamp()
            WHERE status = 'processing' AND (exec IS NOT NULL OR claimed_by <> 'claim_next_job')
            RETURNING id, fence, exec, worker, claimed_at, started_at
        )
        INSERT INTO public.job_attempts (job_id, fence, exec, worker, claimed_at, started_at, finished_at, outcome, error)
        SELECT id, fence, exec, worker, claimed_at, started_at, clock_timestamp(), 'released', 'mobvibe migrate down' FROM back
        ON CONFLICT DO NOTHING;
        SET CONSTRAINTS ALL IMMEDIATE; -- a trigger that waits for the commit would keep the table from being changed
    END IF;
END $$;
DROP FUNCTION IF EXISTS public.mobvibe_schema_version();

ALTER TABLE public.coding_jobs DROP CONSTRAINT IF EXISTS coding_jobs_status_check, DROP CONSTRAINT IF EXISTS coding_jobs_counts_check,
    DROP CONSTRAINT IF EXISTS coding_jobs_times_check, DROP CONSTRAINT IF EXISTS coding_jobs_names_check;

DO $do$
DECLARE
    step record;
BEGIN
    IF to_regclass('public.adopted_definitions') IS NOT NULL THEN
        -- As pg_dump does: a body of theirs may rely on a search_path that is not ours.
        PERFORM set_config('check_function_bodies', 'off', true);
        FOR step IN
            SELECT p.oid::regprocedure AS name
            FROM pg_catalog.pg_proc p
            JOIN (VALUES ('claim_next_job', ''), ('complete_job', 'uuid'), ('fail_job', 'uuid, text'), ('get_queue_stats', ''),
                         ('notify_new_job', ''), ('notify_job_status_change', '')) AS o (name, args)
              ON o.name = p.proname AND o.args = oidvectortypes(p.proargtypes)
            WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS (
                SELECT FROM public.adopted_definitions d WHERE d.kind = 'function' AND to_regprocedure(d.name) = p.oid)
        LOOP
            EXECUTE format('DROP FUNCTION %s', step.name);
        END LOOP;
        FOR step IN
            SELECT d.definition
            FROM unnest(ARRAY['function', 'function rights', 'trigger', 'constraint', 'nullable', 'default', 'options', 'row security', 'table rights'])
                 WITH ORDINALITY AS k (kind, place)
            JOIN public.adopted_definitions d ON d.kind = k.kind
            WHERE k.kind NOT IN ('constraint', 'row security', 'table rights') OR d.definition LIKE '%public.coding_jobs %'
            ORDER BY k.place, d.name
        LOOP
            EXECUTE step.definition;
        END LOOP;
        RETURN;
    END IF;

    -- The bridge made these tables, or an earlier version of it adopted them: then the functions are those that the Node
    -- worker calls, with what it relies on.
    EXECUTE $sql$
        ALTER TABLE public.coding_jobs ADD CONSTRAINT coding_jobs_status_check
            CHECK (status IN ('pending', 'processing', 'completed', 'failed')) NOT VALID;

        CREATE OR REPLACE FUNCTION public.claim_next_job()
        RETURNS TABLE (job_id uuid, session_id uuid, prompt text, priority integer)
        LANGUAGE sql SET search_path = ''
        AS $fn$
            UPDATE public.coding_jobs j SET status = 'processing', started_at = now(), updated_at = now()
            WHERE j.id = (SELECT w.id FROM public.coding_jobs w WHERE w.status = 'pending'
                          ORDER BY w.priority DESC, w.created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING j.id, j.session_id, j.prompt, j.priority
        $fn$;

        CREATE OR REPLACE FUNCTION public.complete_job(job_id_param uuid) RETURNS void
        LANGUAGE sql SET search_path = ''
        AS $fn$
            UPDATE public.coding_jobs SET status = 'completed', completed_at = now(), updated_at = now()
            WHERE id = job_id_param AND status = 'processing'
        $fn$;

        CREATE OR REPLACE FUNCTION public.fail_job(job_id_param uuid, error_msg text) RETURNS boolean
        LANGUAGE plpgsql SET search_path = ''
        AS $fn$
        DECLARE
            job record;
        BEGIN
            UPDATE public.coding_jobs j
            SET retry_count = j.retry_count + 1, error_message = error_msg, updated_at = now(),
                status = CASE WHEN j.retry_count + 1 < j.max_retries THEN 'pending' ELSE 'failed' END,
                completed_at = CASE WHEN j.retry_count + 1 < j.max_retries THEN j.completed_at ELSE now() END
            WHERE j.id = job_id_param AND j.status = 'processing'
            RETURNING j.status, j.session_id INTO job;
            IF job.status = 'failed' THEN
                UPDATE public.coding_sessions SET status = 'failed', error_message = error_msg, updated_at = now()
                WHERE id = job.session_id;
            END IF;
            RETURN coalesce(job.status = 'pending', false);
        END $fn$;

        CREATE OR REPLACE FUNCTION public.get_queue_stats()
        RETURNS TABLE (pending_count bigint, processing_count bigint, completed_count bigint, failed_count bigint, oldest_pending_age interval)
        LANGUAGE sql STABLE SET search_path = ''
        AS $fn$
            SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'processing'),
                   count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
                   now() - min(created_at) FILTER (WHERE status = 'pending')
            FROM public.coding_jobs
        $fn$;

        CREATE OR REPLACE FUNCTION public.notify_new_job() RETURNS trigger
        LANGUAGE plpgsql SET search_path = ''
        AS $fn$
        BEGIN
            PERFORM pg_notify('new_job', json_build_object('job_id', NEW.id, 'session_id', NEW.session_id, 'priority', NEW.priority,
                'created_at', NEW.created_at)::text);
            RETURN NULL;
        END $fn$;
        CREATE TRIGGER on_job_created AFTER INSERT ON public.coding_jobs FOR EACH ROW EXECUTE FUNCTION public.notify_new_job();

        CREATE OR REPLACE FUNCTION public.notify_job_status_change() RETURNS trigger
        LANGUAGE plpgsql SET search_path = ''
        AS $fn$
        BEGIN
            PERFORM pg_notify('job_status_changed', json_build_object('job_id', NEW.id, 'session_id', NEW.session_id,
                'old_status', OLD.status, 'new_status', NEW.status, 'updated_at', NEW.updated_at)::text);
            RETURN NULL;
        END $fn$;
        CREATE TRIGGER on_job_status_changed AFTER UPDATE ON public.coding_jobs
            FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION public.notify_job_status_change();
    $sql$;
END $do$;
