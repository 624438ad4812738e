-- Jobs that an old worker runs during this migration: it has an hour to report, as after claim_next_job(). After a
-- `mobvibe migrate down` these may have had attempts by a bridge, which have ended: this is the next one. A transaction of
-- its own, without a lock on the table after those on rows: else the old worker's report would be ended as a deadlock, and
-- its job run again.
DO $$ BEGIN
    PERFORM set_config('session_replication_role', 'replica', true); -- no event in the life of a job, see 0002_jobs.sql
EXCEPTION WHEN insufficient_privilege THEN
    NULL;
END $$;

UPDATE public.coding_jobs j
SET claimed_at = coalesce(j.started_at, now()), claimed_by = 'claim_next_job', lease_expires_at = now() + interval '1 hour',
    fence = j.fence + CASE WHEN e.has_ended OR j.fence = 0 THEN 1 ELSE 0 END, exec = NULL, worker = NULL
FROM (SELECT o.id, EXISTS (SELECT FROM public.job_attempts a WHERE a.job_id = o.id AND a.fence = o.fence) AS has_ended
      FROM public.coding_jobs o WHERE o.status = 'processing') e
WHERE e.id = j.id AND (j.fence = 0 OR e.has_ended OR j.exec IS NULL AND coalesce(j.claimed_by, 'claim_next_job') = 'claim_next_job');

DO $$ BEGIN
    PERFORM set_config('session_replication_role', 'origin', true);
EXCEPTION WHEN insufficient_privilege THEN
    NULL;
END $$;
