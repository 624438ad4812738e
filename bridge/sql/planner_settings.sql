-- Planner settings: each look-up stays on its index, whatever the statistics are at the moment, and where rows are
-- taken in order, no plan may sort a whole backlog to find the first of them. They are set in the transaction that
-- makes the functions: no function is ever there without them.
DO $do$
DECLARE
    fn record;
BEGIN
    FOR fn IN
        SELECT p.oid::regprocedure AS name, f.turned_off
        FROM (VALUES
            (ARRAY['enable_hashjoin', 'enable_mergejoin', 'enable_seqscan', 'enable_bitmapscan'],
             ARRAY['add_session_events', 'cancel_attempts', 'cancel_jobs', 'change_each', 'complete_jobs', 'end_failed_attempts',
                   'fail_claims', 'fail_jobs', 'heartbeat_worker', 'index_jobs', 'keep_claims', 'note_refused_session', 'pause_queue', 'promote_jobs', 'put_session_bundle',
                   'queue_room', 'reclaim_jobs', 'release_jobs', 'replay_jobs', 'resume_queue', 'retry_jobs', 'route_each', 'start_jobs', 'take_back', 'update_sessions',
                   'waiting_claims',
                   'hold_turn', 'begin_turn', 'end_turn', 'add_messages', 'start_call', 'finish_call', 'reserve_usage', 'spend_usage',
                   'enqueue_sent_prompt', 'enqueue_turn', 'open_session', 'send_prompt', 'answer_question', 'answer_open_question',
                   'continue_session', 'cancel_session', 'completed_status', 'prolong_session', 'set_turn_progress']),
            (ARRAY['enable_hashjoin', 'enable_mergejoin', 'enable_seqscan', 'enable_bitmapscan', 'enable_sort'],
             ARRAY['claim_jobs', 'claim_jobs_apart', 'claim_next_job', 'claim_suspects', 'happened_since', 'promote_due_jobs',
                   'prune_finished_jobs', 'route_jobs']),
            (ARRAY['enable_seqscan', 'enable_bitmapscan', 'enable_sort'], ARRAY['queue_counts']),
            (ARRAY['enable_seqscan'], ARRAY['search_jobs']),
            (ARRAY['enable_seqscan', 'enable_bitmapscan'],
             ARRAY['add_up_hours', 'dead_letters', 'follow_sessions', 'session_events_after', 'number_events', 'prune_history', 'record_history',
                   'take_event_numbers'])
        ) AS f (turned_off, names)
        JOIN pg_catalog.pg_proc p ON p.pronamespace = 'public'::regnamespace AND p.proname = ANY (f.names)
        WHERE 'jit=off' <> ALL (coalesce(p.proconfig, '{}'))
          AND (p.proname <> 'claim_next_job' OR p.pronargs = 0) -- another one is the host's
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET plan_cache_mode = force_generic_plan SET jit = off ', fn.name)
            || (SELECT string_agg(format('SET %I = off', s.name), ' ') FROM unnest(fn.turned_off) AS s (name));
    END LOOP;
END $do$;
