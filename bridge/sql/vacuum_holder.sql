-- vacuum_holder: who has kept vacuum from removing anything newer, for longer than p_age: the oldest session with a
-- snapshot, a replication slot, or a prepared transaction. Sessions of other roles are seen with pg_read_all_stats.
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
    -- Its age in time is not known; a quarter of a million transactions is no moment's lag.
    SELECT 'replication slot', s.slot_name, NULL
    FROM pg_catalog.pg_replication_slots s
    WHERE greatest(age(s.xmin), age(s.catalog_xmin)) > 250000
) h
WHERE h.seconds IS NULL OR h.seconds > %(seconds)s
ORDER BY h.seconds DESC NULLS LAST LIMIT 1
