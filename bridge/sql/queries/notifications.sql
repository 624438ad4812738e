-- Notifications of new jobs: what a bridge does for the tables of tables/0004_notifications.sql.

-- name: owns_job_notifications
-- A row if this role may vacuum the table. Asked first, as Postgres would log a warning each time.
SELECT true AS owns FROM pg_catalog.pg_class c
WHERE c.oid = to_regclass('public.job_notifications') AND pg_has_role(c.relowner, 'USAGE')

-- name: vacuum_job_notifications
-- Not to give space back to the system: that would wait for inserts.
VACUUM (TRUNCATE false, SKIP_LOCKED) public.job_notifications
