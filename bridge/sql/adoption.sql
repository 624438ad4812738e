-- What this database had before the bridge came, and a migration changes: the statements that put it back, for
-- `mobvibe migrate down`. Written once, before the first change, if the database has a coding_jobs of its own. Only its
-- owner may use the table, for what is in it is executed: not even the service role.
DO $do$
DECLARE
    grantee text;
    path text := current_setting('search_path');
BEGIN
    IF to_regclass('public.coding_jobs') IS NULL OR to_regclass('public.adopted_definitions') IS NOT NULL
       OR to_regprocedure('public.mobvibe_schema_version()') IS NOT NULL OR to_regprocedure('public.mobvibe_close_rights()') IS NOT NULL
    THEN
        RETURN;
    END IF;
    CREATE TABLE public.adopted_definitions (
        kind text NOT NULL,
        name text NOT NULL,
        definition text NOT NULL,
        PRIMARY KEY (kind, name)
    );
    ALTER TABLE public.adopted_definitions ENABLE ROW LEVEL SECURITY;
    FOR grantee IN
        SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_catalog.pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.oid = 'public.adopted_definitions'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON TABLE public.adopted_definitions FROM %s', grantee);
    END LOOP;
    COMMENT ON TABLE public.adopted_definitions IS 'What mobvibe migrate down restores';

    PERFORM set_config('search_path', '', true); -- so that all names in the statements are full
    INSERT INTO public.adopted_definitions (kind, name, definition)
    WITH tables AS (
        SELECT c.oid, c.relname AS name, c.relrowsecurity, c.reloptions, c.relacl, c.relowner
        FROM pg_catalog.pg_class c
        WHERE c.oid IN (to_regclass('public.coding_jobs'), to_regclass('public.coding_sessions'), to_regclass('public.session_events'))
    ), functions AS (
        SELECT p.oid, p.oid::regprocedure::text AS name, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
        FROM pg_catalog.pg_proc p
        JOIN (VALUES ('claim_next_job', ''), ('complete_job', 'uuid'), ('fail_job', 'uuid, text'), ('get_queue_stats', ''),
                     ('notify_new_job', ''), ('notify_job_status_change', '')) AS o (name, args)
          ON o.name = p.proname AND o.args = oidvectortypes(p.proargtypes)
        WHERE p.pronamespace = 'public'::regnamespace
    ), service AS (
        SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = 'service_role'
    )
    SELECT 'table', t.name::text, '' FROM tables t
    UNION ALL
    SELECT 'column', t.name || '.' || a.attname, ''
    FROM tables t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'function', f.name, format('%s; COMMENT ON FUNCTION %s IS %L', pg_get_functiondef(f.oid), f.name, obj_description(f.oid, 'pg_proc'))
    FROM functions f
    UNION ALL
    SELECT 'function rights', f.name, format('REVOKE ALL ON FUNCTION %s FROM PUBLIC%s', f.name, (
               SELECT string_agg(format(', %I', w.rolname), '') FROM pg_catalog.pg_roles w
               WHERE w.rolname IN ('anon', 'authenticated', 'service_role')))
           || coalesce((
               SELECT string_agg(format('; GRANT EXECUTE ON FUNCTION %s TO %s%s', f.name, coalesce(quote_ident(w.rolname), 'PUBLIC'),
                                        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), '')
               FROM aclexplode(f.acl) a LEFT JOIN pg_catalog.pg_roles w ON w.oid = a.grantee
               WHERE a.grantee = 0 OR w.rolname IN ('anon', 'authenticated', 'service_role')), '')
    FROM functions f
    UNION ALL
    SELECT 'table rights', t.name::text, format('REVOKE %s ON public.%I FROM service_role', string_agg(r.name, ', '), t.name)
    FROM tables t CROSS JOIN service s CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r (name)
    WHERE NOT EXISTS (SELECT FROM aclexplode(coalesce(t.relacl, acldefault('r', t.relowner))) a
                      WHERE a.grantee = s.oid AND a.privilege_type = r.name)
    GROUP BY t.name
    UNION ALL
    SELECT 'trigger', g.tgname::text, pg_get_triggerdef(g.oid) || CASE WHEN g.tgenabled = 'O' THEN '' ELSE
               format('; ALTER TABLE public.coding_jobs %s TRIGGER %I',
                      CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE REPLICA' END, g.tgname) END
    FROM pg_catalog.pg_trigger g
    WHERE g.tgrelid = to_regclass('public.coding_jobs') AND g.tgname IN ('on_job_created', 'on_job_status_changed')
    UNION ALL
    SELECT 'index', c.relname::text, pg_get_indexdef(c.oid)
    FROM tables t JOIN pg_catalog.pg_index i ON i.indrelid = t.oid JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    UNION ALL
    SELECT 'constraint', c.conname::text, format('ALTER TABLE public.%I ADD CONSTRAINT %I %s%s', t.name, c.conname, pg_get_constraintdef(c.oid),
                                           CASE WHEN c.convalidated THEN ' NOT VALID' ELSE '' END)
    FROM tables t JOIN pg_catalog.pg_constraint c ON c.conrelid = t.oid
    WHERE c.conname IN ('coding_jobs_status_check', 'coding_jobs_counts_check', 'coding_jobs_times_check', 'coding_jobs_names_check',
                        'session_events_event_type_check')
    UNION ALL
    SELECT CASE WHEN a.attnotnull THEN 'required' ELSE 'nullable' END, a.attname::text,
           format('ALTER TABLE public.coding_jobs ALTER COLUMN %I %s NOT NULL', a.attname, CASE WHEN a.attnotnull THEN 'SET' ELSE 'DROP' END)
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = to_regclass('public.coding_jobs')
      AND (a.attname IN ('session_id', 'prompt') AND a.attnotnull
           OR a.attname IN ('status', 'priority', 'retry_count', 'max_retries', 'created_at', 'updated_at') AND NOT a.attnotnull)
    UNION ALL
    SELECT 'default', a.attname::text, 'ALTER TABLE public.coding_jobs ALTER COLUMN id '
           || coalesce('SET DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), 'DROP DEFAULT')
    FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = to_regclass('public.coding_jobs') AND a.attname = 'id'
    UNION ALL
    SELECT 'options', t.name::text, 'ALTER TABLE public.coding_jobs RESET (fillfactor, autovacuum_vacuum_scale_factor,'
           || ' autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor)' || coalesce('; ALTER TABLE public.coding_jobs SET (' || array_to_string(t.reloptions, ', ') || ')', '')
    FROM tables t WHERE t.name = 'coding_jobs'
    UNION ALL
    SELECT 'row security', t.name::text, format('ALTER TABLE public.%I DISABLE ROW LEVEL SECURITY', t.name)
    FROM tables t WHERE NOT t.relrowsecurity AND EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname IN ('anon', 'authenticated'))
    UNION ALL
    SELECT 'policy', p.policyname::text, format('ALTER POLICY %I ON public.session_events TO PUBLIC', p.policyname)
    FROM pg_catalog.pg_policies p
    WHERE p.schemaname = 'public' AND p.tablename = 'session_events' AND p.roles = '{public}' AND p.cmd <> 'SELECT'
      AND coalesce(p.qual, p.with_check) = 'true' AND EXISTS (SELECT FROM service);
    PERFORM set_config('search_path', path, true);
END $do$;
