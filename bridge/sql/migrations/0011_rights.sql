-- Who may do what. Functions are EXECUTE for everybody by default, and on Supabase tables in public are
-- open to its web roles; both are taken back here.

DO $do$
DECLARE
    fn regprocedure;
    tbl text;
    policy record;
    web_roles text;
BEGIN
    SELECT string_agg(quote_ident(r.rolname), ', ') INTO web_roles
    FROM pg_catalog.pg_roles r WHERE r.rolname IN ('anon', 'authenticated');

    FOR fn IN
        SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace AND p.proname IN (
            'queue_room', 'claim_jobs', 'promote_due_jobs', 'start_jobs', 'complete_jobs', 'release_jobs', 'release_delay', 'retry_delay', 'clean_error',
            'end_failed_attempts', 'fail_jobs', 'cancel_attempts', 'reclaim_jobs', 'waiting_claims', 'claim_suspects', 'keep_claims', 'fail_claims',
            'unwatched_lease', 'settle_sessions', 'fail_sessions', 'register_worker',
            'heartbeat_worker', 'worker_key', 'hold_worker_link', 'watch_links', 'stop_worker', 'prune_workers', 'route_jobs', 'claim_next_job', 'complete_job', 'fail_job',
            'get_queue_stats', 'cancel_job', 'retry_job', 'add_session_events', 'get_session_events', 'notify_new_job',
            'notify_job_status_change', 'count_new_jobs', 'count_changed_jobs', 'count_deleted_jobs', 'count_no_jobs',
            'recount_jobs', 'fold_job_counts', 'queue_counts', 'prune_jobs', 'keep_due', 'take_by_hand',
            'delete_attempts_of_jobs', 'delete_jobs_of_sessions')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', fn);
        IF web_roles IS NOT NULL THEN
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', fn, web_roles);
        END IF;
        IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'service_role') THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO service_role', fn);
        END IF;
    END LOOP;

    -- An INSERT of an old client, whose role knows nothing of these, draws its numbers from them.
    GRANT USAGE ON SEQUENCE public.coding_jobs_seq, public.session_events_seq TO PUBLIC;

    IF web_roles IS NULL THEN
        RETURN;
    END IF;
    FOREACH tbl IN ARRAY ARRAY['job_attempts', 'job_counts', 'workers', 'job_audit'] LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', tbl);
        EXECUTE format('REVOKE ALL ON TABLE public.%I FROM %s', tbl, web_roles);
    END LOOP;
    FOREACH tbl IN ARRAY ARRAY['coding_jobs', 'coding_sessions', 'session_events'] LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', tbl);
    END LOOP;
    -- Policies that let any role write events were meant for the service role, and forgot to say so.
    FOR policy IN
        SELECT p.policyname FROM pg_catalog.pg_policies p
        WHERE p.schemaname = 'public' AND p.tablename = 'session_events' AND p.roles = '{public}'
          AND p.cmd <> 'SELECT' AND coalesce(p.qual, p.with_check) = 'true'
    LOOP
        EXECUTE format('ALTER POLICY %I ON public.session_events TO service_role', policy.policyname);
    END LOOP;
END $do$;

-- The version of this schema, whoever applied the files: mobvibe, psql or the supabase CLI.
CREATE OR REPLACE FUNCTION public.mobvibe_schema_version() RETURNS integer
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$ SELECT 11 $$;
