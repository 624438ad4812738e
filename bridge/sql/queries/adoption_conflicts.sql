-- What would make a migration fail.

-- name: conflicts
-- What in this database would make a migration fail, each with its remedy. Reads catalogs only. Where the bridge was
-- `installed` before, the names that only the bridge uses are its own.
WITH installed AS MATERIALIZED (
    SELECT to_regprocedure('public.mobvibe_schema_version()') IS NOT NULL
        OR to_regprocedure('public.mobvibe_close_rights()') IS NOT NULL
        OR EXISTS (SELECT FROM pg_catalog.pg_attribute a
                   WHERE a.attrelid = to_regclass('public.job_attempts') AND a.attname = 'fence') AS before
), wanted (tbl, col, type, is_original) AS (
    VALUES
    ('coding_jobs', 'id', 'uuid', true), ('coding_jobs', 'session_id', 'uuid', true), ('coding_jobs', 'prompt', 'text', true),
    ('coding_jobs', 'status', 'text', true), ('coding_jobs', 'priority', 'integer', true),
    ('coding_jobs', 'retry_count', 'integer', true), ('coding_jobs', 'max_retries', 'integer', true),
    ('coding_jobs', 'error_message', 'text', true), ('coding_jobs', 'started_at', 'timestamp with time zone', true),
    ('coding_jobs', 'completed_at', 'timestamp with time zone', true),
    ('coding_jobs', 'created_at', 'timestamp with time zone', true),
    ('coding_jobs', 'updated_at', 'timestamp with time zone', true),
    ('coding_jobs', 'actor', 'text', false), ('coding_jobs', 'queue', 'text', false), ('coding_jobs', 'payload', 'jsonb', false),
    ('coding_jobs', 'result', 'jsonb', false), ('coding_jobs', 'run_at', 'timestamp with time zone', false),
    ('coding_jobs', 'due', 'boolean', false), ('coding_jobs', 'seq', 'bigint', false), ('coding_jobs', 'fence', 'bigint', false),
    ('coding_jobs', 'exec', 'uuid', false), ('coding_jobs', 'worker', 'uuid', false),
    ('coding_jobs', 'lease_expires_at', 'timestamp with time zone', false),
    ('coding_jobs', 'claimed_at', 'timestamp with time zone', false), ('coding_jobs', 'claimed_by', 'text', false),
    ('coding_jobs', 'cancel_requested_at', 'timestamp with time zone', false), ('coding_jobs', 'crashes', 'integer', false),
    ('coding_jobs', 'releases', 'integer', false), ('coding_jobs', 'retries_from_actor', 'boolean', false),
    ('coding_sessions', 'id', 'uuid', true), ('coding_sessions', 'status', 'text', true),
    ('coding_sessions', 'error_message', 'text', true), ('coding_sessions', 'started_at', 'timestamp with time zone', true),
    ('coding_sessions', 'completed_at', 'timestamp with time zone', true),
    ('coding_sessions', 'updated_at', 'timestamp with time zone', true),
    ('session_events', 'id', 'uuid', true), ('session_events', 'session_id', 'uuid', true),
    ('session_events', 'event_type', 'text', true), ('session_events', 'created_at', 'timestamp with time zone', true),
    ('session_events', 'seq', 'bigint', false)
), found AS (
    SELECT w.*, a.attnum IS NOT NULL AS is_there, format_type(a.atttypid, a.atttypmod) AS real_type, a.attgenerated, a.attnotnull,
           d.oid IS NOT NULL AS has_default, a.attidentity
    FROM wanted w
    JOIN pg_catalog.pg_class c ON c.oid = to_regclass('public.' || w.tbl)
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = w.col AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
), tables (name, mark) AS (
    VALUES ('coding_jobs', NULL), ('coding_sessions', NULL), ('session_events', NULL),
           ('job_attempts', 'fence'), ('workers', 'lease_expires_at'), ('actor_queues', 'max_retries'), ('job_audit', 'done_by'), ('job_counts', 'ever_completed'),
           ('session_streams', 'last_seq'), ('job_notifications', 'job_id'), ('notification_relay', 'relays_until'),
           ('queue_pauses', 'paused_by'), ('operator_audit', 'done_by'), ('bulk_operations', 'last_seq'),
           ('queue_history', 'failed_attempts'), ('latency_history', 'bucket'), ('idempotency_keys', 'request_hash'),
           ('session_turns', 'fence'), ('session_messages', 'begins'), ('session_calls', 'started_fence'),
           ('session_inbox', 'taken_at'), ('session_requests', 'reserved_usd'),
           ('session_bundles', 'base'),
           ('job_search', 'words'), ('job_search_progress', 'swept_id'), ('adopted_definitions', 'definition')
), functions (name, args, arg_names, result) AS (
    VALUES ('claim_next_job', '', NULL::text[], 'TABLE(job_id uuid, session_id uuid, prompt text, priority integer)'),
           ('complete_job', 'uuid', ARRAY['job_id_param'], 'void'),
           ('fail_job', 'uuid, text', ARRAY['job_id_param', 'error_msg'], 'boolean'),
           ('get_queue_stats', '', NULL, 'TABLE(pending_count bigint, processing_count bigint, completed_count bigint, failed_count bigint, oldest_pending_age interval)'),
           ('notify_new_job', '', NULL, 'trigger'), ('notify_job_status_change', '', NULL, 'trigger')
), indexes (name, tbl) AS (
    VALUES ('jobs_ready', 'coding_jobs'), ('jobs_scheduled', 'coding_jobs'), ('jobs_suspect', 'coding_jobs'),
           ('jobs_processing', 'coding_jobs'), ('jobs_of_session', 'coding_jobs'), ('jobs_oldest', 'coding_jobs'),
           ('jobs_ended', 'coding_jobs'), ('jobs_failed', 'coding_jobs'), ('jobs_dead', 'coding_jobs'), ('session_events_number', 'session_events'),
           ('session_events_unnumbered', 'session_events'), ('workers_live', 'workers'),
           ('job_audit_of_job', 'job_audit'), ('job_audit_copy', 'job_audit'), ('job_audit_single', 'job_audit'), ('bulk_operations_open', 'bulk_operations'), ('attempts_not_completed', 'job_attempts'),
           ('idempotency_keys_age', 'idempotency_keys'),
           ('session_turns_open', 'session_turns'), ('session_messages_begin', 'session_messages'), ('session_calls_of_message', 'session_calls'),
           ('session_inbox_waiting', 'session_inbox'), ('session_requests_of_user', 'session_requests'), ('session_requests_of_session', 'session_requests')
)
SELECT 'public.' || t.name || ' is a ' || CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
           WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table' ELSE 'relation of another kind' END AS what,
       'it must be a plain table: rename it or copy its rows into one' AS fix
FROM tables t JOIN pg_catalog.pg_class c ON c.oid = to_regclass('public.' || t.name) WHERE c.relkind <> 'r'
UNION ALL
SELECT 'public.' || t.name || ' exists already and is not the bridge''s', format('ALTER TABLE public.%%I RENAME TO …', t.name)
FROM tables t JOIN pg_catalog.pg_class c ON c.oid = to_regclass('public.' || t.name)
WHERE t.mark IS NOT NULL AND c.relkind = 'r' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = t.mark AND NOT a.attisdropped)
UNION ALL
SELECT 'public.adopted_definitions exists already and is not the bridge''s', 'ALTER TABLE public.adopted_definitions RENAME TO …'
WHERE to_regclass('public.adopted_definitions') IS NOT NULL -- before the first migration, which makes it with these functions
  AND to_regprocedure('public.mobvibe_close_rights()') IS NULL AND to_regprocedure('public.mobvibe_schema_version()') IS NULL
UNION ALL
SELECT format('column %%s.%%s is missing', f.tbl, f.col), format('ALTER TABLE public.%%I ADD COLUMN %%I %%s', f.tbl, f.col, f.type)
FROM found f WHERE f.is_original AND NOT f.is_there
UNION ALL
SELECT format('column %%s.%%s is %%s, the bridge''s is %%s', f.tbl, f.col, f.real_type, f.type),
       CASE WHEN f.is_original THEN format('ALTER TABLE public.%%I ALTER COLUMN %%I TYPE %%s', f.tbl, f.col, f.type)
            ELSE format('ALTER TABLE public.%%I RENAME COLUMN %%I TO …', f.tbl, f.col) END
FROM found f WHERE f.is_there AND f.real_type <> f.type
UNION ALL
SELECT format('column %%s.%%s is generated', f.tbl, f.col), format('ALTER TABLE public.%%I ALTER COLUMN %%I DROP EXPRESSION', f.tbl, f.col)
FROM found f WHERE f.attgenerated <> '' OR f.attidentity <> ''
UNION ALL
SELECT format('column %%s.%%s is yours already, and of the bridge''s type', f.tbl, f.col),
       format('ALTER TABLE public.%%I RENAME COLUMN %%I TO …', f.tbl, f.col)
FROM found f CROSS JOIN installed o WHERE f.is_there AND NOT f.is_original AND NOT o.before AND f.real_type = f.type AND f.tbl = 'coding_jobs'
UNION ALL
SELECT format('column coding_jobs.%%s is required and has no default', a.attname),
       format('ALTER TABLE public.coding_jobs ALTER COLUMN %%I DROP NOT NULL (the bridge''s own inserts do not name it)', a.attname)
FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = to_regclass('public.coding_jobs') AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND d.oid IS NULL
  AND a.attidentity = '' AND a.attname NOT IN (SELECT w.col FROM wanted w WHERE w.tbl = 'coding_jobs')
UNION ALL
SELECT 'session_events has neither data nor event_data of type jsonb', 'ALTER TABLE public.session_events ADD COLUMN data jsonb'
WHERE to_regclass('public.session_events') IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = to_regclass('public.session_events')
      AND a.attname IN ('data', 'event_data') AND a.atttypid = 'jsonb'::regtype AND NOT a.attisdropped)
UNION ALL
SELECT format('%%s.id is no primary key', t.name), format('ALTER TABLE public.%%I ADD PRIMARY KEY (id)', t.name)
FROM (VALUES ('coding_jobs'), ('session_events')) AS t (name)
WHERE to_regclass('public.' || t.name) IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = to_regclass('public.' || t.name) AND i.indisunique AND i.indisvalid
      AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = (
          SELECT a.attnum FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND a.attname = 'id'))
UNION ALL
SELECT format('function %%s returns %%s, the bridge''s returns %%s', p.oid::regprocedure, pg_get_function_result(p.oid), f.result),
       format('DROP FUNCTION %%s', p.oid::regprocedure)
FROM functions f JOIN pg_catalog.pg_proc p
  ON p.pronamespace = 'public'::regnamespace AND p.proname = f.name AND oidvectortypes(p.proargtypes) = f.args
WHERE pg_get_function_result(p.oid) <> f.result
UNION ALL
SELECT format('function %%s names its parameters %%s, the bridge''s %%s', p.oid::regprocedure,
              array_to_string(p.proargnames, ', '), array_to_string(f.arg_names, ', ')),
       format('DROP FUNCTION %%s', p.oid::regprocedure)
FROM functions f JOIN pg_catalog.pg_proc p
  ON p.pronamespace = 'public'::regnamespace AND p.proname = f.name AND oidvectortypes(p.proargtypes) = f.args
WHERE f.arg_names IS NOT NULL AND coalesce(p.proargnames[1:p.pronargs], '{}') <> f.arg_names
UNION ALL
SELECT format('function %%s has the name of one of the bridge''s', p.oid::regprocedure),
       format('ALTER FUNCTION %%s RENAME TO …', p.oid::regprocedure)
FROM pg_catalog.pg_proc p CROSS JOIN installed o
WHERE NOT o.before AND p.pronamespace = 'public'::regnamespace AND p.proname = ANY (%(private)s::text[])
UNION ALL
SELECT format('index %%s is on table %%s', i.name, x.indrelid::regclass), format('ALTER INDEX public.%%I RENAME TO …', i.name)
FROM indexes i JOIN pg_catalog.pg_index x ON x.indexrelid = to_regclass('public.' || i.name)
WHERE x.indrelid IS DISTINCT FROM to_regclass('public.' || i.tbl)
UNION ALL
SELECT format('public.%%s exists already and is no index', i.name), 'rename it'
FROM indexes i JOIN pg_catalog.pg_class c ON c.oid = to_regclass('public.' || i.name) WHERE c.relkind <> 'i'
UNION ALL
SELECT format('public.%%s exists already and is no sequence', s.name), 'rename it'
FROM (VALUES ('coding_jobs_seq'), ('session_events_seq')) AS s (name)
JOIN pg_catalog.pg_class c ON c.oid = to_regclass('public.' || s.name) WHERE c.relkind <> 'S'
UNION ALL
SELECT format('role %%s may not create in schema public', current_user),
       format('as its owner: GRANT CREATE ON SCHEMA public TO %%I', current_user)
WHERE NOT has_schema_privilege('public', 'CREATE')
UNION ALL
SELECT format('role %%s does not own public.%%s, %%s does', current_user, t.name, pg_get_userbyid(c.relowner)),
       format('run as %%1$I, or as a superuser: GRANT %%1$I TO %%2$I', pg_get_userbyid(c.relowner), current_user)
FROM tables t JOIN pg_catalog.pg_class c ON c.oid = to_regclass('public.' || t.name)
WHERE NOT pg_has_role(c.relowner, 'USAGE')
UNION ALL
SELECT format('role %%s does not own function %%s, %%s does', current_user, p.oid::regprocedure, pg_get_userbyid(p.proowner)),
       format('run as %%1$I, or as a superuser: GRANT %%1$I TO %%2$I', pg_get_userbyid(p.proowner), current_user)
FROM functions f JOIN pg_catalog.pg_proc p
  ON p.pronamespace = 'public'::regnamespace AND p.proname = f.name AND oidvectortypes(p.proargtypes) = f.args
WHERE NOT pg_has_role(p.proowner, 'USAGE')

-- name: event_conflicts
-- What would keep a row of session_events from getting its number, each with its remedy. The number is written by an
-- UPDATE at the commit, in a table that had no UPDATE before: a host's INSERT would fail there from now on, or its
-- row would stay without a number. Reads catalogs only.
WITH events AS (
    SELECT c.oid, c.relreplident, pg_get_userbyid(c.relowner) AS owner,
           (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'seq') AS own_columns,
           EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid) AS has_key,
           EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid) AS has_identity
    FROM pg_catalog.pg_class c WHERE c.oid = to_regclass('public.session_events') AND c.relkind = 'r'
), update_triggers AS ( -- bit 1: BEFORE, bit 4: UPDATE; with a list of columns it does not fire for the number
    SELECT t.oid, t.tgname, t.tgtype & 2 = 2 AS is_before, t.tgnewtable IS NOT NULL OR t.tgoldtable IS NOT NULL AS has_tables,
           p.oid::regprocedure AS function, p.prosrc
    FROM events e JOIN pg_catalog.pg_trigger t ON t.tgrelid = e.oid JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 16 = 16
      AND (t.tgattr = '' OR (SELECT a.attnum FROM pg_catalog.pg_attribute a
                             WHERE a.attrelid = e.oid AND a.attname = 'seq' AND NOT a.attisdropped) = ANY (t.tgattr))
)
SELECT format('trigger %s on session_events may refuse the UPDATE that writes the number of an event', quote_ident(t.tgname)) AS what,
       CASE WHEN t.has_tables THEN format('let function %s pass an UPDATE that changes column seq alone, and raise in a trigger BEFORE UPDATE OF %s', t.function, e.own_columns)
            ELSE regexp_replace(pg_get_triggerdef(t.oid), '^CREATE (CONSTRAINT )?TRIGGER (.*?) UPDATE( OF .*?)?( OR | ON )',
                                CASE WHEN pg_get_triggerdef(t.oid) LIKE 'CREATE CONSTRAINT%'
                                     THEN format('DROP TRIGGER %I ON public.session_events; CREATE CONSTRAINT', t.tgname) ELSE 'CREATE OR REPLACE' END
                                || ' TRIGGER \2 UPDATE OF ' || replace(e.own_columns, '\', '\\') || '\4') END AS fix
FROM events e CROSS JOIN update_triggers t
WHERE t.prosrc ~* '\mraise\M(?!\s+(debug|log|info|notice|warning)\M)' OR (t.is_before AND t.prosrc ~* '\mreturn\s+(old|null)\M')
UNION ALL
SELECT format('rule %s on session_events replaces the UPDATE that writes the number of an event', quote_ident(r.rulename)),
       format('DROP RULE %I ON public.session_events; to refuse updates still, raise in a trigger BEFORE UPDATE OF %s', r.rulename, e.own_columns)
FROM events e JOIN pg_catalog.pg_rewrite r ON r.ev_class = e.oid
WHERE r.ev_type = '2' AND r.is_instead AND r.ev_enabled IN ('O', 'A')
UNION ALL
SELECT format('session_events is in publication %s and has no replica identity, without which Postgres refuses each UPDATE', string_agg(quote_ident(p.pubname), ', ')),
       'ALTER TABLE public.session_events ' || CASE WHEN e.has_key THEN 'REPLICA IDENTITY DEFAULT'
           WHEN e.relreplident = 'd' THEN 'ADD PRIMARY KEY (id)' ELSE 'ADD PRIMARY KEY (id), REPLICA IDENTITY DEFAULT' END
FROM events e JOIN pg_catalog.pg_publication_tables t ON t.schemaname = 'public' AND t.tablename = 'session_events'
JOIN pg_catalog.pg_publication p ON p.pubname = t.pubname AND p.pubupdate
WHERE e.relreplident = 'n' OR (e.relreplident = 'd' AND NOT e.has_key) OR (e.relreplident = 'i' AND NOT e.has_identity)
GROUP BY e.has_key, e.relreplident
UNION ALL
SELECT format('publication %s has session_events with %s, and Postgres refuses an UPDATE where that asks for columns outside of the replica identity',
              quote_ident(p.pubname), CASE WHEN r.prattrs IS NULL THEN 'a row filter' ELSE 'a list of columns' END),
       CASE WHEN r.prattrs IS NULL THEN 'ALTER TABLE public.session_events REPLICA IDENTITY FULL'
            ELSE format('ALTER PUBLICATION %I SET (publish = ''insert'')', p.pubname) END
FROM events e JOIN pg_catalog.pg_publication_rel r ON r.prrelid = e.oid JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid AND p.pubupdate
WHERE (r.prqual IS NOT NULL AND e.relreplident <> 'f')
   OR (r.prattrs IS NOT NULL AND (e.relreplident = 'f' OR EXISTS (
       SELECT FROM pg_catalog.pg_index i CROSS JOIN unnest(i.indkey) AS k (attnum)
       WHERE i.indrelid = e.oid AND CASE e.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
         AND k.attnum <> ALL (r.prattrs))))
UNION ALL
SELECT format('row level security of session_events applies to role %s: the trigger that numbers events would not see them', current_user),
       format('ALTER TABLE public.session_events NO FORCE ROW LEVEL SECURITY; or as a superuser: ALTER ROLE %I BYPASSRLS', current_user)
FROM events e WHERE pg_has_role(e.owner, 'USAGE') AND row_security_active(e.oid)

-- name: strange_statuses
-- Values that no job can have, quoted for SQL.
SELECT quote_literal(left(j.status, 40)) AS status, count(*) AS jobs FROM public.coding_jobs j
WHERE j.status NOT IN ('pending', 'processing', 'completed', 'failed', 'cancelled') GROUP BY 1 ORDER BY 2 DESC LIMIT 10

-- name: foreign_definitions
-- A table for the way back that another role has made, which would have its statements executed with our rights.
SELECT c.relowner::regrole::text AS owner FROM pg_catalog.pg_class c
WHERE c.oid = to_regclass('public.adopted_definitions') AND c.relowner NOT IN (
    SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolsuper OR r.rolname = current_user
    UNION ALL SELECT j.relowner FROM pg_catalog.pg_class j WHERE j.oid = to_regclass('public.coding_jobs'))

-- name: way_back_risks
-- What the Node worker would harm or be harmed by, if it got this database back now, each with its remedy. One row for
-- each kind.
SELECT 'live: ' || string_agg(p.what, ', ') AS what, 'stop all bridges and workers' AS fix
FROM (SELECT 'worker ' || w.name AS what FROM public.workers w WHERE w.stopped_at IS NULL AND w.lease_expires_at > clock_timestamp()
      UNION
      SELECT 'bridge ' || r.bridge FROM public.notification_relay r WHERE r.relays_until > clock_timestamp()
      UNION
      SELECT a.application_name || ' (process ' || a.pid || ')' FROM pg_catalog.pg_stat_activity a
      WHERE a.datname = current_database() AND a.application_name IN
          ('mobvibe dispatcher', 'mobvibe recovery', 'mobvibe starts', 'mobvibe reports', 'mobvibe heartbeat')
      ORDER BY 1 LIMIT 5) p
HAVING count(*) > 0
UNION ALL
SELECT count(*) || ' waiting jobs of other actors (' || string_agg(DISTINCT u.actor, ', ') || ')', 'let workers end them, or: mobvibe jobs cancel'
FROM (SELECT CASE WHEN j.actor = 'run_coding_session' THEN 'without a session or prompt' ELSE left(j.actor, 40) END AS actor
      FROM public.coding_jobs j
      WHERE j.status = 'pending' AND (j.actor <> 'run_coding_session' OR j.session_id IS NULL OR j.prompt IS NULL)) u
HAVING count(*) > 0
UNION ALL
SELECT count(*) || ' jobs that wait for their time (run_at)', 'let it come, or: mobvibe jobs cancel'
FROM public.coding_jobs j
WHERE j.status = 'pending' AND j.actor = 'run_coding_session' AND j.session_id IS NOT NULL AND j.prompt IS NOT NULL
  AND j.run_at > clock_timestamp() AND j.retry_count = 0 AND j.crashes = 0 AND j.releases = 0
HAVING count(*) > 0
UNION ALL
SELECT 'paused queues with waiting jobs: ' || string_agg(p.queue, ', '), 'the Node worker knows no pauses: mobvibe queues resume'
FROM public.queue_pauses p
WHERE EXISTS (SELECT FROM public.coding_jobs j WHERE j.status = 'pending' AND j.queue = p.queue AND j.actor = 'run_coding_session')
HAVING count(*) > 0
