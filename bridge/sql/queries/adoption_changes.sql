-- What a migration changes, and whose transactions it waits for.

-- name: changes
-- What a migration would change of this database's own tables, functions and policies, in words. Reads catalogs only.
WITH tables AS (
    SELECT c.oid, c.relname AS name, c.relrowsecurity FROM pg_catalog.pg_class c
    WHERE c.oid IN (to_regclass('public.coding_jobs'), to_regclass('public.coding_sessions'), to_regclass('public.session_events'))
), replaced AS (
    SELECT p.oid, p.prosecdef FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND p.proname IN (
        'claim_next_job', 'complete_job', 'fail_job', 'get_queue_stats', 'notify_new_job', 'notify_job_status_change')
)
SELECT 'columns are added to coding_jobs: ' || string_agg(w.name, ', ' ORDER BY w.place) AS change
FROM unnest(ARRAY['actor', 'queue', 'payload', 'result', 'run_at', 'due', 'seq', 'fence', 'exec', 'worker', 'lease_expires_at',
                  'claimed_at', 'claimed_by', 'cancel_requested_at', 'crashes', 'releases', 'retries_from_actor']) WITH ORDINALITY AS w (name, place)
WHERE to_regclass('public.coding_jobs') IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = to_regclass('public.coding_jobs') AND a.attname = w.name)
HAVING count(*) > 0
UNION ALL
SELECT 'column coding_jobs.' || a.attname || ' may be NULL from now on (jobs without a session)'
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = to_regclass('public.coding_jobs') AND a.attname IN ('session_id', 'prompt') AND a.attnotnull
UNION ALL
SELECT 'function ' || r.oid::regprocedure || ' is replaced' || CASE WHEN r.prosecdef THEN
           ' and is SECURITY DEFINER no more: roles other than service_role need rights of their own' ELSE '' END
FROM replaced r
UNION ALL
SELECT 'role ' || w.rolname || ' may no longer execute ' || string_agg(r.oid::regprocedure::text, ', ')
FROM replaced r CROSS JOIN pg_catalog.pg_roles w
WHERE w.rolname IN ('anon', 'authenticated') AND has_function_privilege(w.oid, r.oid, 'EXECUTE')
GROUP BY w.rolname
UNION ALL
SELECT 'trigger ' || t.tgname || ' on coding_jobs fires once a statement instead of once a row: '
       || 'for several rows its notification carries their count alone'
FROM pg_catalog.pg_trigger t
WHERE t.tgrelid = to_regclass('public.coding_jobs') AND t.tgname IN ('on_job_created', 'on_job_status_changed') AND t.tgtype & 1 = 1
UNION ALL
SELECT 'index coding_jobs_status_priority_idx is dropped: only the old claim used it'
WHERE to_regclass('public.coding_jobs_status_priority_idx') IS NOT NULL
UNION ALL
SELECT 'row level security is switched on for ' || t.name FROM tables t
WHERE NOT t.relrowsecurity AND EXISTS (SELECT FROM pg_catalog.pg_roles w WHERE w.rolname IN ('anon', 'authenticated'))
UNION ALL
SELECT 'policy ' || quote_ident(p.policyname) || ' on session_events is narrowed to service_role: it let everybody write events'
FROM pg_catalog.pg_policies p
WHERE p.schemaname = 'public' AND p.tablename = 'session_events' AND p.roles = '{public}' AND p.cmd <> 'SELECT'
  AND coalesce(p.qual, p.with_check) = 'true' AND EXISTS (SELECT FROM pg_catalog.pg_roles w WHERE w.rolname = 'service_role')
UNION ALL
SELECT 'the rule session_events_event_type_check is dropped: event types are open'
FROM pg_catalog.pg_constraint c
WHERE c.conrelid = to_regclass('public.session_events') AND c.conname = 'session_events_event_type_check'
UNION ALL
SELECT 'a row inserted into session_events gets its number by an UPDATE when it is committed (trigger on_event_committed)'
WHERE to_regclass('public.session_events') IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid = to_regclass('public.session_events') AND t.tgname = 'on_event_committed')
UNION ALL
SELECT 'roles that act for a user may set the original columns of coding_jobs only (trigger a_guard_job)'
WHERE EXISTS (SELECT FROM pg_catalog.pg_roles w WHERE w.rolname IN ('anon', 'authenticated'))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = to_regclass('public.coding_jobs') AND t.tgname = 'a_guard_job')

-- name: changed_rows
-- How many rows of an old coding_jobs a migration would change.
SELECT count(*) FILTER (WHERE j.status IN ('pending', 'processing') OR j.status IS NULL) AS waiting,
       count(*) FILTER (WHERE j.priority IS NULL AND (j.status IN ('pending', 'processing') OR j.status IS NULL)) AS without_priority,
       count(*) FILTER (WHERE j.status IS NULL OR j.priority IS NULL OR j.created_at IS NULL OR j.updated_at IS NULL
           OR j.retry_count IS NULL OR j.retry_count NOT BETWEEN 0 AND 1000000000 OR j.max_retries IS NULL OR j.max_retries < 0
           OR least(j.created_at, j.updated_at, j.started_at, j.completed_at) < '0001-01-02 00:00:00+00'
           OR greatest(j.created_at, j.updated_at, j.started_at, j.completed_at) > '9999-12-30 00:00:00+00') AS repaired
FROM public.coding_jobs j

-- name: lock_holders
-- Transactions that a migration may wait for: first those with locks on tables that it changes, then all others with
-- a snapshot, oldest first. After a deadlock: the sessions that were in it (pids), whatever they do by now.
SELECT a.pid, coalesce(nullif(a.application_name, ''), 'a nameless client') AS name, a.usename AS role, a.state,
       round(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.state_change)))::integer AS seconds
FROM pg_catalog.pg_stat_activity a
CROSS JOIN LATERAL (
    SELECT count(*) > 0 AS holds FROM pg_catalog.pg_locks l
    WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation'
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
      AND l.relation IN (to_regclass('public.coding_jobs'), to_regclass('public.coding_sessions'),
                         to_regclass('public.session_events'), to_regclass('public.session_streams'), to_regclass('public.job_attempts'),
                         to_regclass('public.workers'), to_regclass('public.job_counts'), to_regclass('public.job_audit'))) l
WHERE a.datname = current_database() AND CASE WHEN %(pids)s::integer[] <> '{}' THEN a.pid = ANY (%(pids)s) ELSE
      a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL
      AND a.application_name <> 'mobvibe migrate lock' AND (l.holds OR a.backend_xmin IS NOT NULL) END
ORDER BY l.holds DESC, a.xact_start LIMIT 3
