-- What a migration changes, and whose transactions it waits for.

-- name: changes
-- What a migration would change of this database's own tables, functions, rights and policies, in words. Reads catalogs
-- only. `indexes`, `tables`: the bridge's indexes of those tables.
WITH tables AS (
    SELECT c.oid, c.relname AS name, c.relrowsecurity, c.reloptions, coalesce(c.relacl, acldefault('r', c.relowner)) AS acl
    FROM pg_catalog.pg_class c
    WHERE c.oid IN (to_regclass('public.coding_jobs'), to_regclass('public.coding_sessions'), to_regclass('public.session_events'))
), columns AS (
    SELECT t.name AS tbl, a.attname AS name, a.attnotnull, pg_get_expr(d.adbin, d.adrelid) AS value
    FROM tables t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
), replaced AS (
    SELECT p.oid, p.oid::regprocedure::text AS name, p.prosecdef, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
    FROM pg_catalog.pg_proc p
    JOIN (VALUES ('claim_next_job', ''), ('complete_job', 'uuid'), ('fail_job', 'uuid, text'), ('get_queue_stats', ''),
                 ('notify_new_job', ''), ('notify_job_status_change', '')) AS o (name, args)
      ON o.name = p.proname AND o.args = oidvectortypes(p.proargtypes)
    WHERE p.pronamespace = 'public'::regnamespace
), roles AS (
    SELECT 0::oid AS oid, 'PUBLIC (each role without a grant of its own)' AS name
    UNION ALL
    SELECT r.oid, r.rolname FROM pg_catalog.pg_roles r WHERE r.rolname IN ('anon', 'authenticated')
), service AS (
    SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = 'service_role'
), web AS (
    SELECT FROM pg_catalog.pg_roles r WHERE r.rolname IN ('anon', 'authenticated') LIMIT 1
), added (kind, tbl, name, place) AS (
    SELECT 'columns', c.tbl, c.name, c.place
    FROM (VALUES ('coding_jobs', 'actor', 1), ('coding_jobs', 'queue', 2), ('coding_jobs', 'payload', 3), ('coding_jobs', 'result', 4),
                 ('coding_jobs', 'run_at', 5), ('coding_jobs', 'due', 6), ('coding_jobs', 'seq', 7), ('coding_jobs', 'fence', 8),
                 ('coding_jobs', 'exec', 9), ('coding_jobs', 'worker', 10), ('coding_jobs', 'lease_expires_at', 11),
                 ('coding_jobs', 'claimed_at', 12), ('coding_jobs', 'claimed_by', 13), ('coding_jobs', 'cancel_requested_at', 14),
                 ('coding_jobs', 'crashes', 15), ('coding_jobs', 'releases', 16), ('coding_jobs', 'retries_from_actor', 17),
                 ('session_events', 'seq', 1)) AS c (tbl, name, place)
    WHERE NOT EXISTS (SELECT FROM columns o WHERE o.tbl = c.tbl AND o.name = c.name)
    UNION ALL
    SELECT 'triggers', g.tbl, g.name, g.place
    FROM (VALUES ('coding_jobs', 'a_guard_job', 1), ('coding_jobs', 'on_job_created', 2), ('coding_jobs', 'on_job_status_changed', 3),
                 ('coding_jobs', 'on_job_without_queue', 4), ('coding_jobs', 'on_job_run_at', 5), ('coding_jobs', 'on_job_taken_by_hand', 6),
                 ('coding_jobs', 'on_job_deleted', 7), ('coding_jobs', 'count_new_jobs', 8), ('coding_jobs', 'count_changed_jobs', 9),
                 ('coding_jobs', 'count_deleted_jobs', 10), ('coding_jobs', 'count_no_jobs', 11), ('coding_sessions', 'on_session_deleted', 1),
                 ('session_events', 'on_event_created', 1), ('session_events', 'on_event_moved', 2),
                 ('session_events', 'on_event_committed', 3)) AS g (tbl, name, place)
    WHERE NOT EXISTS (SELECT FROM tables t JOIN pg_catalog.pg_trigger o ON o.tgrelid = t.oid WHERE t.name = g.tbl AND o.tgname = g.name)
    UNION ALL
    SELECT 'indexes', i.tbl, i.name, i.place
    FROM unnest(%(tables)s::text[], %(indexes)s::text[]) WITH ORDINALITY AS i (tbl, name, place)
    WHERE to_regclass('public.' || i.name) IS NULL
    UNION ALL
    SELECT 'rules', 'coding_jobs', r.name, r.place
    FROM unnest(ARRAY['coding_jobs_status_check', 'coding_jobs_counts_check', 'coding_jobs_times_check', 'coding_jobs_names_check'])
         WITH ORDINALITY AS r (name, place)
    WHERE NOT EXISTS (SELECT FROM tables t JOIN pg_catalog.pg_constraint o ON o.conrelid = t.oid WHERE o.conname = r.name)
)
SELECT a.kind || ' are added to ' || a.tbl || ': ' || string_agg(a.name, ', ' ORDER BY a.place) AS change
FROM added a JOIN tables t ON t.name = a.tbl GROUP BY a.kind, a.tbl
UNION ALL
SELECT 'column coding_jobs.' || c.name || ' may be NULL from now on (jobs without a session)'
FROM columns c WHERE c.tbl = 'coding_jobs' AND c.name IN ('session_id', 'prompt') AND c.attnotnull
UNION ALL
SELECT 'columns of coding_jobs are never NULL from now on: ' || string_agg(c.name, ', ' ORDER BY c.name)
FROM columns c
WHERE c.tbl = 'coding_jobs' AND c.name IN ('status', 'priority', 'retry_count', 'max_retries', 'created_at', 'updated_at') AND NOT c.attnotnull
HAVING count(*) > 0
UNION ALL
SELECT 'new rows of coding_jobs get an id in the order of time: DEFAULT uuidv7() instead of ' || coalesce(c.value, 'none')
FROM columns c
WHERE c.tbl = 'coding_jobs' AND c.name = 'id' AND to_regprocedure('pg_catalog.uuidv7()') IS NOT NULL AND strpos(coalesce(c.value, ''), 'uuidv7') = 0
UNION ALL
SELECT 'storage options of coding_jobs are set: fillfactor = 50, and when it is vacuumed and analyzed'
FROM tables t WHERE t.name = 'coding_jobs' AND 'fillfactor=50' <> ALL (coalesce(t.reloptions, '{}'))
UNION ALL
SELECT 'publication ' || p.pubname || ' sends the added columns of ' || t.name || ', too'
FROM tables t JOIN pg_catalog.pg_publication_rel r ON r.prrelid = t.oid JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
WHERE r.prattrs IS NULL AND EXISTS (SELECT FROM added a WHERE a.kind = 'columns' AND a.tbl = t.name)
UNION ALL
SELECT 'function ' || r.name || ' is replaced' || CASE WHEN r.prosecdef THEN
           ' and is SECURITY DEFINER no more: roles other than service_role need rights of their own' ELSE '' END
FROM replaced r
UNION ALL
SELECT 'role ' || w.name || ' may no longer execute ' || string_agg(r.name, ', ')
FROM replaced r CROSS JOIN roles w
WHERE EXISTS (SELECT FROM aclexplode(r.acl) a WHERE a.grantee = w.oid)
GROUP BY w.name
UNION ALL
SELECT 'role service_role may execute ' || string_agg(r.name, ', ')
FROM replaced r CROSS JOIN service s
WHERE NOT EXISTS (SELECT FROM aclexplode(r.acl) a WHERE a.grantee = s.oid)
HAVING count(*) > 0
UNION ALL
SELECT 'role service_role may ' || string_agg(r.name, ', ') || ' ' || t.name
FROM tables t CROSS JOIN service s CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r (name)
WHERE NOT EXISTS (SELECT FROM aclexplode(t.acl) a WHERE a.grantee = s.oid AND a.privilege_type = r.name)
GROUP BY t.name
UNION ALL
SELECT 'trigger ' || t.tgname || ' on coding_jobs ' || CASE WHEN t.tgtype & 1 = 1 THEN
           'fires once a statement instead of once a row: for several rows its notification carries their count alone'
           ELSE 'is replaced' END || CASE WHEN t.tgenabled = 'D' THEN '; it is enabled again' ELSE '' END
FROM pg_catalog.pg_trigger t
WHERE t.tgrelid = to_regclass('public.coding_jobs') AND t.tgname IN ('on_job_created', 'on_job_status_changed')
UNION ALL
SELECT 'rule ' || c.conname || ' on coding_jobs is replaced' || CASE WHEN c.conname = 'coding_jobs_status_check'
           THEN ': a job may be cancelled, too' ELSE '' END
FROM pg_catalog.pg_constraint c
WHERE c.conrelid = to_regclass('public.coding_jobs') AND obj_description(c.oid, 'pg_constraint') IS DISTINCT FROM 'mobvibe 12'
  AND c.conname IN ('coding_jobs_status_check', 'coding_jobs_counts_check', 'coding_jobs_times_check', 'coding_jobs_names_check')
UNION ALL
SELECT 'index coding_jobs_status_priority_idx on coding_jobs is dropped: only the old claim used it'
WHERE to_regclass('public.coding_jobs_status_priority_idx') IS NOT NULL
UNION ALL
SELECT 'row level security is switched on for ' || t.name FROM tables t CROSS JOIN web
WHERE NOT t.relrowsecurity
UNION ALL
SELECT 'policy ' || quote_ident(p.policyname) || ' on session_events is narrowed to service_role: it let everybody write events'
FROM pg_catalog.pg_policies p CROSS JOIN service CROSS JOIN web
WHERE p.schemaname = 'public' AND p.tablename = 'session_events' AND p.roles = '{public}' AND p.cmd <> 'SELECT'
  AND coalesce(p.qual, p.with_check) = 'true'
UNION ALL
SELECT 'rule session_events_event_type_check on session_events is dropped: event types are open'
FROM pg_catalog.pg_constraint c
WHERE c.conrelid = to_regclass('public.session_events') AND c.conname = 'session_events_event_type_check'
UNION ALL
SELECT 'a row inserted into session_events gets its number by an UPDATE when it is committed (trigger on_event_committed)'
FROM added a WHERE a.name = 'on_event_committed'
UNION ALL
SELECT 'roles that act for a user may set the original columns of coding_jobs only (trigger a_guard_job)'
FROM added a CROSS JOIN web WHERE a.name = 'a_guard_job'

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
