-- event_conflicts: what would keep a row of session_events from getting its number, each with what to do. The number is
-- written by an UPDATE at the commit, in a table that had no UPDATE before: there an INSERT of the host's would fail
-- from now on, or its row would stay without a number. Reads catalogs only.
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
