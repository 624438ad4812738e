-- Rights: what this role lacks, and what others have.

-- name: check_rights
-- Rights that this role lacks, in words. Row security that hides rows from it is among them: no rows must never be
-- taken for an empty queue. What the schema of the version before does not have is not lacking.
SELECT 'use table public.' || t.name AS lacking
FROM (VALUES ('coding_jobs', 'SELECT,INSERT,UPDATE'), ('job_attempts', 'SELECT,INSERT'), ('job_counts', 'SELECT,INSERT,DELETE'), ('workers', 'SELECT,INSERT,UPDATE,DELETE'), ('actor_queues', 'SELECT,INSERT,UPDATE'),
             ('coding_sessions', 'SELECT,UPDATE'), ('session_events', 'SELECT,INSERT'), ('session_streams', 'SELECT,INSERT,UPDATE'),
             ('job_notifications', 'SELECT,UPDATE,DELETE'), ('notification_relay', 'SELECT,INSERT,UPDATE'), ('queue_pauses', 'SELECT'),
             ('job_audit', 'INSERT'), ('bulk_operations', 'SELECT,UPDATE'),
             ('queue_history', 'SELECT,INSERT,UPDATE,DELETE'), ('latency_history', 'SELECT,INSERT,UPDATE,DELETE'),
             ('idempotency_keys', 'SELECT,DELETE'),
             ('session_turns', 'SELECT,INSERT,UPDATE'), ('session_messages', 'SELECT,INSERT'), ('session_calls', 'SELECT,INSERT,UPDATE'),
             ('session_inbox', 'SELECT,INSERT,UPDATE'), ('session_requests', 'SELECT,INSERT,UPDATE,DELETE'), ('session_bundles', 'SELECT,INSERT,DELETE'),
             ('job_search', 'SELECT,INSERT,UPDATE,DELETE'), ('job_search_progress', 'SELECT,INSERT,UPDATE')) AS t (name, rights)
CROSS JOIN LATERAL unnest(string_to_array(t.rights, ',')) AS r (right_name)
WHERE NOT has_table_privilege(to_regclass('public.' || t.name), r.right_name)
GROUP BY t.name
UNION ALL
SELECT 'use sequence public.' || s.name
FROM (VALUES ('coding_jobs_seq', 'USAGE'), ('coding_jobs_seq', 'SELECT'), ('session_events_seq', 'USAGE')) AS s (name, right_name)
WHERE NOT has_sequence_privilege(to_regclass('public.' || s.name), s.right_name)
GROUP BY s.name
UNION ALL
SELECT 'see the rows of public.' || t.name || ' (row level security hides them)'
FROM (VALUES ('coding_jobs'), ('coding_sessions'), ('session_events'), ('workers'), ('actor_queues'), ('queue_pauses'), ('session_turns'), ('session_messages'),
             ('session_calls'), ('session_inbox'), ('session_requests'), ('session_bundles')) AS t (name)
WHERE row_security_active(to_regclass('public.' || t.name))
UNION ALL
SELECT 'call ' || p.oid::regprocedure
FROM pg_catalog.pg_proc p
WHERE p.pronamespace = 'public'::regnamespace
  AND p.proname IN ('claim_jobs', 'start_jobs', 'complete_jobs', 'fail_jobs', 'cancel_attempts', 'release_jobs', 'release_delay', 'reclaim_jobs',
                    'heartbeat_worker', 'hold_worker_link', 'watch_links', 'waiting_claims', 'claim_suspects', 'isolated_until', 'is_bridge', 'keep_claims', 'fail_claims',
                    'register_worker', 'keep_actor_queues', 'get_queue_stats', 'add_session_events', 'take_event_numbers',
                    'new_job_payload', 'put_session_bundle', 'promise_relay', 'relay_notifications', 'relay_state', 'run_bulk_batch',
                    'completed_status', 'hold_turn', 'begin_turn', 'end_turn', 'set_turn_progress', 'prolong_session', 'add_messages', 'start_call', 'finish_call',
                    'reserve_usage', 'spend_usage', 'enqueue_sent_prompt', 'enqueue_turn', 'add_turn_events')
  AND NOT has_function_privilege(p.oid, 'EXECUTE')

-- name: open_rights
-- What was opened after mobvibe_close_rights() and the guard had closed it. Only where there are web roles.
WITH web AS (SELECT r.rolname AS name FROM pg_catalog.pg_roles r WHERE r.rolname IN ('anon', 'authenticated'))
SELECT w.name || ' may execute ' || string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.proname) AS found
FROM web w CROSS JOIN pg_catalog.pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND has_function_privilege(w.name, p.oid, 'EXECUTE')
  AND p.proname IN ('claim_jobs', 'start_jobs', 'complete_jobs', 'fail_jobs', 'release_jobs', 'cancel_attempts', 'claim_next_job',
                    'complete_job', 'fail_job', 'cancel_job', 'retry_job', 'replay_job', 'start_bulk_operation', 'pause_queue', 'resume_queue', 'drain_worker', 'resume_worker', 'register_worker', 'may_choose_actor')
GROUP BY w.name
UNION ALL
SELECT w.name || ' may use table ' || string_agg(t.name, ', ')
FROM web w CROSS JOIN unnest(ARRAY['job_attempts', 'job_counts', 'workers', 'actor_queues', 'job_audit', 'session_streams',
                             'job_notifications', 'notification_relay', 'queue_pauses', 'operator_audit', 'bulk_operations',
                             'queue_history', 'latency_history', 'idempotency_keys', 'session_turns', 'session_messages', 'session_calls',
                             'session_inbox', 'session_requests', 'session_bundles', 'job_search', 'job_search_progress', 'adopted_definitions']) AS t (name)
WHERE has_table_privilege(w.name, to_regclass('public.' || t.name), 'SELECT, INSERT, UPDATE, DELETE')
GROUP BY w.name
UNION ALL
SELECT 'row level security is off on ' || string_agg(c.relname, ', ')
FROM pg_catalog.pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relrowsecurity AND EXISTS (SELECT FROM web)
  AND c.relname IN ('coding_jobs', 'coding_sessions', 'session_events', 'session_streams', 'job_attempts', 'job_counts', 'workers', 'actor_queues', 'job_audit',
                    'job_notifications', 'notification_relay', 'queue_pauses', 'operator_audit', 'bulk_operations',
                    'queue_history', 'latency_history', 'idempotency_keys', 'session_turns', 'session_messages', 'session_calls', 'session_inbox', 'session_requests', 'session_bundles',
                    'job_search', 'job_search_progress', 'adopted_definitions')
HAVING count(*) > 0
UNION ALL
SELECT 'the trigger a_guard_job on coding_jobs is gone or disabled: web roles may choose any actor'
WHERE EXISTS (SELECT FROM web)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
                  WHERE t.tgrelid = 'public.coding_jobs'::regclass AND t.tgname = 'a_guard_job' AND t.tgenabled IN ('O', 'A'))
