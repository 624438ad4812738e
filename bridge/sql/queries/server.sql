-- The server, the database and this session.

-- name: ping
-- Whether Postgres answers at all.
SELECT 1 AS pong

-- name: read_only
-- Why this session cannot write: the server is a standby, or a setting says so (`source`: where it was set). No row:
-- it can write.
SELECT pg_is_in_recovery() AS is_standby, s.source
FROM pg_catalog.pg_settings s
WHERE s.name = 'default_transaction_read_only' AND current_setting('transaction_read_only') = 'on'

-- name: server_facts
-- The version of this server, and its time.
SELECT current_setting('server_version_num') AS version_num, clock_timestamp() AS now

-- name: database_mark
-- This database's id and name: the mark that it leaves on its namespace in Redis.
SELECT public.mobvibe_database_id() || ' ' || current_database() AS mark

-- name: connection_room
-- The limit on connections that this role will reach first, how many are in use, and how many of these are links of
-- MobVibe's processes. This session is not counted. Which of other roles' sessions are links may be hidden.
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

-- name: vacuum_holder
-- What has kept vacuum from removing anything newer, for longer than the given seconds: the oldest session with a
-- snapshot, a replication slot, or a prepared transaction. Other roles' sessions are seen with pg_read_all_stats.
SELECT h.kind, h.name, h.seconds
FROM (
    SELECT 'session' AS kind,
           'pid ' || a.pid || concat_ws(' ', ' of', a.usename, '(' || nullif(a.application_name, '') || ')', a.state) AS name,
           extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds
    FROM pg_catalog.pg_stat_activity a
    WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND a.backend_type = 'client backend'
      AND a.pid <> pg_backend_pid()
    UNION ALL
    SELECT 'prepared transaction', p.gid, extract(epoch FROM clock_timestamp() - p.prepared)::float8
    FROM pg_catalog.pg_prepared_xacts p
    UNION ALL
    -- Its age in seconds is not known; a quarter of a million transactions is more than a short lag.
    SELECT 'replication slot', s.slot_name, NULL
    FROM pg_catalog.pg_replication_slots s
    WHERE greatest(age(s.xmin), age(s.catalog_xmin)) > 250000
) h
WHERE h.seconds IS NULL OR h.seconds > %(seconds)s
ORDER BY h.seconds DESC NULLS LAST LIMIT 1

-- name: set_lock_timeout
-- Sets how long this session waits for a lock, and returns how long it did before.
SELECT current_setting('lock_timeout') AS previous, set_config('lock_timeout', %(value)s, false)

-- name: owns_job_notifications
-- A row if this role may vacuum the table. Asked first, as Postgres would log a warning each time.
SELECT true AS owns FROM pg_catalog.pg_class c
WHERE c.oid = to_regclass('public.job_notifications') AND pg_has_role(c.relowner, 'USAGE')

-- name: vacuum_job_notifications
-- Not to give space back to the system: that would wait for inserts.
VACUUM (TRUNCATE false, SKIP_LOCKED) public.job_notifications
