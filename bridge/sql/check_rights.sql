-- check_rights: what this role lacks, in words. Row security that hides rows from it counts: an empty answer
-- must never be taken for an empty queue. What a schema of the version before does not have is not lacking.
SELECT 'use table public.' || t.name AS lacking
FROM (VALUES ('coding_jobs', 'SELECT,INSERT,UPDATE'), ('job_attempts', 'SELECT,INSERT,DELETE'), ('job_counts', 'SELECT,INSERT,DELETE'), ('workers', 'SELECT,INSERT,UPDATE,DELETE'), ('actor_queues', 'SELECT,INSERT,UPDATE'),
             ('coding_sessions', 'SELECT,UPDATE'), ('session_events', 'SELECT,INSERT'), ('session_streams', 'SELECT,INSERT,UPDATE')) AS t (name, rights)
CROSS JOIN LATERAL unnest(string_to_array(t.rights, ',')) AS r (right_name)
WHERE NOT has_table_privilege(to_regclass('public.' || t.name), r.right_name)
GROUP BY t.name
UNION ALL
SELECT 'use sequence public.' || s.name
FROM (VALUES ('coding_jobs_seq'), ('session_events_seq')) AS s (name)
WHERE NOT has_sequence_privilege(to_regclass('public.' || s.name), 'USAGE')
UNION ALL
SELECT 'see the rows of public.' || t.name || ' (row level security hides them)'
FROM (VALUES ('coding_jobs'), ('coding_sessions'), ('session_events'), ('workers'), ('actor_queues')) AS t (name)
WHERE row_security_active(to_regclass('public.' || t.name))
UNION ALL
SELECT 'call ' || p.oid::regprocedure
FROM pg_catalog.pg_proc p
WHERE p.pronamespace = 'public'::regnamespace
  AND p.proname IN ('claim_jobs', 'start_jobs', 'complete_jobs', 'fail_jobs', 'cancel_attempts', 'release_jobs', 'release_delay', 'reclaim_jobs',
                    'heartbeat_worker', 'hold_worker_link', 'watch_links', 'waiting_claims', 'claim_suspects', 'keep_claims', 'fail_claims',
                    'register_worker', 'keep_actor_queues', 'get_queue_stats', 'add_session_events', 'take_event_numbers')
  AND NOT has_function_privilege(p.oid, 'EXECUTE')
