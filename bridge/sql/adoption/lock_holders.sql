-- lock_holders: whose transactions a migration may wait for: those with locks on the tables it changes first, then any
-- other that reads this database, oldest first. Of a deadlock, those that were in it (pids), whatever they do by now.
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
