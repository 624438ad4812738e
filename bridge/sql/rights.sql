-- Rights. Applied first, as each other migration ends by closing rights.

-- A role that acts for a user, such as Supabase's `anon` and `authenticated`, may write only the columns that the job
-- table had before the bridge came, whatever policies and grants this database has.

-- may_choose_actor: does nothing. EXECUTE on it is the right to insert a job of any actor, for a role that row
-- security applies to. Other roles (the owner, and BYPASSRLS such as service_role) do not need it.
CREATE OR REPLACE FUNCTION public.may_choose_actor() RETURNS void
LANGUAGE sql SET search_path = '' AS $$ $$;

-- guard_job: refuses an INSERT that sets one of the bridge's columns, and an UPDATE that changes one. A value that
-- equals the column's default counts as not set. `seq`, the place in the order of age, is always drawn from its sequence.
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
        -- Not NEW.seq: the trigger may be there before the column is.
        IF given ? 'seq' THEN
            NEW := jsonb_populate_record(NEW, jsonb_build_object('seq', nextval('public.coding_jobs_seq')));
        END IF;
    END IF;
    FOR col IN
        SELECT a.attname AS name, pg_get_expr(d.adbin, d.adrelid) AS value
        FROM pg_catalog.pg_attribute a
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = 'public.coding_jobs'::regclass AND NOT a.attisdropped AND a.attname IN (
            'actor', 'queue', 'payload', 'result', 'run_at', 'due', 'fence', 'exec', 'worker', 'lease_expires_at',
            'claimed_at', 'claimed_by', 'cancel_requested_at', 'crashes', 'releases', 'retries_from_actor', 'seq')
              AND NOT (TG_OP = 'INSERT' AND a.attname = 'seq')
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
    RETURN NEW;
END $$;

-- mobvibe_close_rights: takes back what is granted by default: EXECUTE on functions, which Postgres grants to
-- everybody, and tables in public, which Supabase opens to its web roles. Gives the service role what the functions
-- that it calls need, whatever this database grants by default.
-- It is the last statement of each migration: one that stops halfway leaves nothing open.
CREATE OR REPLACE FUNCTION public.mobvibe_close_rights() RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    fn regprocedure;
    tbl text;
    policy record;
    web_roles text;
    ours text[] := ARRAY[
        'coding_jobs', 'coding_sessions', 'session_events', 'session_streams', 'job_attempts', 'job_counts',
        'workers', 'actor_queues', 'job_audit', 'job_notifications', 'notification_relay', 'queue_pauses',
        'operator_audit', 'bulk_operations', 'queue_history', 'latency_history', 'idempotency_keys',
        'session_turns', 'session_messages', 'session_calls', 'session_inbox', 'session_requests',
        'session_bundles', 'job_search', 'job_search_progress', 'adopted_definitions'];
    has_service_role boolean := EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'service_role');
BEGIN
    SELECT string_agg(quote_ident(r.rolname), ', ') INTO web_roles
    FROM pg_catalog.pg_roles r WHERE r.rolname IN ('anon', 'authenticated');

    FOR fn IN
        SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace AND p.proname IN (
            'queue_room', 'claim_jobs', 'claim_jobs_apart', 'change_each', 'check_changed', 'check_at_once', 'is_of_a_row', 'is_bridge', 'job_matches', 'take_back', 'route_each', 'promote_jobs', 'promote_due_jobs', 'start_jobs', 'complete_jobs', 'release_jobs',
            'release_delay', 'retry_delay', 'clean_error', 'end_failed_attempts', 'fail_jobs', 'cancel_attempts',
            'reclaim_jobs', 'waiting_claims', 'claim_suspects', 'isolated_until', 'keep_claims', 'fail_claims', 'unwatched_lease',
            'settle_sessions', 'update_sessions', 'note_refused_session', 'register_worker', 'heartbeat_worker', 'worker_key',
            'hold_worker_link', 'watch_links', 'stop_worker', 'declare_lost', 'suspicion', 'prune_workers', 'keep_actor_queues', 'route_new_job',
            'route_jobs', 'claim_next_job',
            'complete_job', 'fail_job', 'get_queue_stats', 'cancel_job', 'retry_job', 'replay_job', 'replay_jobs', 'put_session_bundle', 'pause_queue', 'resume_queue', 'drain_worker', 'resume_worker', 'cancel_jobs', 'retry_jobs', 'changed_at', 'is_meant', 'dead_letters',
            'session_events_after', 'hold_turn', 'begin_turn', 'end_turn', 'set_turn_progress', 'prolong_session', 'add_messages', 'start_call', 'finish_call', 'reserve_usage', 'spend_usage', 'enqueue_sent_prompt', 'enqueue_turn', 'open_session', 'send_prompt', 'answer_question', 'answer_open_question', 'continue_session', 'cancel_session', 'add_turn_events', 'completed_status',
            'bulk_lock', 'plan_bulk_operation', 'start_bulk_operation', 'stop_bulk_operation', 'act_on_batch', 'run_bulk_batch', 'add_session_events',
            'get_session_events', 'follow_sessions', 'take_event_numbers', 'postpone_event_number', 'number_events', 'notify_new_job', 'notify_job_status_change', 'count_new_jobs',
            'count_changed_jobs', 'count_deleted_jobs', 'count_no_jobs', 'count_jobs', 'recount_jobs', 'fold_job_counts',
            'queue_counts', 'prune_jobs', 'prune_finished_jobs', 'keep_due', 'begin_manual_attempt', 'delete_attempts_of_jobs',
            'delete_jobs_of_sessions', 'new_job_payload', 'promise_relay', 'relay_notifications', 'relay_state', 'latency_bucket', 'available_at', 'happened_since', 'record_history',
            'add_up_hours', 'prune_history', 'searched_text', 'job_labels', 'job_words', 'words_query', 'search_jobs', 'index_jobs', 'mobvibe_close_rights', 'guard_job', 'may_choose_actor')
          -- With other parameters these are functions of the host.
          AND (p.proname NOT IN ('claim_next_job', 'complete_job', 'fail_job', 'get_queue_stats', 'notify_new_job', 'notify_job_status_change')
               OR (p.proname, oidvectortypes(p.proargtypes)) IN (('claim_next_job', ''), ('complete_job', 'uuid'), ('fail_job', 'uuid, text'),
                   ('get_queue_stats', ''), ('notify_new_job', ''), ('notify_job_status_change', '')))
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', fn);
        IF web_roles IS NOT NULL THEN
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', fn, web_roles);
        END IF;
        IF has_service_role THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO service_role', fn);
        END IF;
    END LOOP;

    FOR tbl IN
        SELECT t.name FROM unnest(ours) AS t (name)
        WHERE to_regclass('public.' || t.name) IS NOT NULL
    LOOP
        IF has_service_role AND tbl = 'adopted_definitions' THEN -- the owner runs what is in it: nobody else may write it
            EXECUTE format('REVOKE ALL ON TABLE public.%I FROM service_role', tbl);
        ELSIF has_service_role THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE public.%I TO service_role', tbl);
        END IF;
        CONTINUE WHEN web_roles IS NULL;
        -- Where it is on, no lock: this transaction may hold locks on rows for which others wait.
        IF NOT (SELECT c.relrowsecurity FROM pg_catalog.pg_class c WHERE c.oid = to_regclass('public.' || tbl)) THEN
            EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', tbl);
        END IF;
        IF tbl NOT IN ('coding_jobs', 'coding_sessions', 'session_events') THEN
            EXECUTE format('REVOKE ALL ON TABLE public.%I FROM %s', tbl, web_roles);
        END IF;
    END LOOP;

    -- Supabase opens sequences, too: `setval` would give two rows the same number, or none to the next one.
    IF web_roles IS NOT NULL THEN
        FOR tbl IN
            SELECT s.relname FROM pg_catalog.pg_class s
            WHERE s.relnamespace = 'public'::regnamespace AND s.relkind = 'S'
              AND (s.relname IN ('coding_jobs_seq', 'session_events_seq') OR EXISTS (
                  SELECT FROM pg_catalog.pg_depend d WHERE d.objid = s.oid AND d.deptype = 'i'
                      AND d.refobjid IN (SELECT to_regclass('public.' || t.name) FROM unnest(ours) AS t (name))))
        LOOP
            EXECUTE format('REVOKE ALL ON SEQUENCE public.%I FROM %s', tbl, web_roles);
        END LOOP;
    END IF;

    -- The guard. Triggers fire in the order of their names: it is the first, and does not see what other triggers
    -- change.
    IF to_regclass('public.coding_jobs') IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = to_regclass('public.coding_jobs')
            AND t.tgname = 'a_guard_job' AND t.tgenabled IN ('O', 'A'))
    THEN
        DROP TRIGGER IF EXISTS a_guard_job ON public.coding_jobs;
        CREATE TRIGGER a_guard_job BEFORE INSERT OR UPDATE ON public.coding_jobs
            FOR EACH ROW WHEN (row_security_active('public.coding_jobs'::regclass)) EXECUTE FUNCTION public.guard_job();
    END IF;

    -- Columns draw their numbers from these, also for an old client's INSERT, whose role was never granted them.
    FOR tbl IN
        SELECT s.name FROM unnest(ARRAY['coding_jobs_seq', 'session_events_seq']) AS s (name)
        WHERE to_regclass('public.' || s.name) IS NOT NULL
    LOOP
        EXECUTE format('GRANT USAGE ON SEQUENCE public.%I TO PUBLIC', tbl);
    END LOOP;

    -- A policy that lets any role write events was meant for the service role, and does not say so.
    IF has_service_role AND web_roles IS NOT NULL THEN
        FOR policy IN
            SELECT p.policyname FROM pg_catalog.pg_policies p
            WHERE p.schemaname = 'public' AND p.tablename = 'session_events' AND p.roles = '{public}'
              AND p.cmd <> 'SELECT' AND coalesce(p.qual, p.with_check) = 'true'
        LOOP
            EXECUTE format('ALTER POLICY %I ON public.session_events TO service_role', policy.policyname);
        END LOOP;
    END IF;
END $$;
