-- open_rights: what lies open that mobvibe_close_rights() and the guard had closed. Only where there are web roles.
WITH web AS (SELECT r.rolname AS name FROM pg_catalog.pg_roles r WHERE r.rolname IN ('anon', 'authenticated'))
SELECT w.name || ' may execute ' || string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.proname) AS found
FROM web w CROSS JOIN pg_catalog.pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND has_function_privilege(w.name, p.oid, 'EXECUTE')
  AND p.proname IN ('claim_jobs', 'start_jobs', 'complete_jobs', 'fail_jobs', 'release_jobs', 'cancel_attempts', 'claim_next_job',
                    'complete_job', 'fail_job', 'cancel_job', 'retry_job', 'register_worker', 'may_choose_actor')
GROUP BY w.name
UNION ALL
SELECT w.name || ' may use table ' || string_agg(t.name, ', ')
FROM web w CROSS JOIN unnest(ARRAY['job_attempts', 'job_counts', 'workers', 'actor_queues', 'job_audit', 'session_streams']) AS t (name)
WHERE has_table_privilege(w.name, to_regclass('public.' || t.name), 'SELECT, INSERT, UPDATE, DELETE')
GROUP BY w.name
UNION ALL
SELECT 'row level security is off on ' || string_agg(c.relname, ', ')
FROM pg_catalog.pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relrowsecurity AND EXISTS (SELECT FROM web)
  AND c.relname IN ('coding_jobs', 'coding_sessions', 'session_events', 'session_streams', 'job_attempts', 'job_counts', 'workers', 'actor_queues', 'job_audit')
HAVING count(*) > 0
UNION ALL
SELECT 'the trigger a_guard_job on coding_jobs is gone or disabled: web roles may choose any actor'
WHERE EXISTS (SELECT FROM web)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
                  WHERE t.tgrelid = 'public.coding_jobs'::regclass AND t.tgname = 'a_guard_job' AND t.tgenabled IN ('O', 'A'))
