-- connection_room: the limit on connections that is nearest for this role, how much of it is used, and by how many
-- links of MobVibe's processes. This session is not counted. Of other roles' sessions the kind may be hidden.
WITH me AS (
    SELECT r.oid AS role, r.rolname, r.rolsuper, r.rolconnlimit, d.oid AS database, d.datname, d.datconnlimit
    FROM pg_catalog.pg_roles r
    CROSS JOIN pg_catalog.pg_database d
    WHERE r.rolname = session_user AND d.datname = current_database()
),
sessions AS (
    SELECT a.usesysid, a.datid, a.datid = me.database AND a.application_name LIKE 'mobvibe %' AS ours
    FROM pg_catalog.pg_stat_activity a
    CROSS JOIN me
    WHERE a.datid IS NOT NULL AND a.usesysid IS NOT NULL AND a.pid <> pg_backend_pid()
      AND coalesce(a.backend_type, 'client backend') = 'client backend'
),
limits AS (
    SELECT format('CONNECTION LIMIT of role %I', me.rolname) AS name, me.rolconnlimit AS most,
           (SELECT count(*) FROM sessions s WHERE s.usesysid = me.role) AS used
    FROM me WHERE me.rolconnlimit >= 0 AND NOT me.rolsuper
    UNION ALL
    SELECT format('CONNECTION LIMIT of database %I', me.datname), me.datconnlimit,
           (SELECT count(*) FROM sessions s WHERE s.datid = me.database)
    FROM me WHERE me.datconnlimit >= 0 AND NOT me.rolsuper
    UNION ALL
    SELECT 'max_connections, without those reserved for others',
           current_setting('max_connections')::int - CASE
               WHEN me.rolsuper THEN 0
               WHEN coalesce(pg_has_role(to_regrole('pg_use_reserved_connections')::oid, 'USAGE'), false)
               THEN current_setting('superuser_reserved_connections')::int
               ELSE current_setting('superuser_reserved_connections')::int
                    + coalesce(current_setting('reserved_connections', true), '0')::int
           END,
           (SELECT count(*) FROM sessions)
    FROM me
)
SELECT l.name, l.most, l.used::int AS used, greatest(l.most - l.used, 0)::int AS free,
       (SELECT count(*) FROM sessions s WHERE s.ours)::int AS ours
FROM limits l
ORDER BY l.most - l.used
LIMIT 1
