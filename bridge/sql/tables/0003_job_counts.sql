-- How many jobs each queue has by status, without counting them. Each statement that changes jobs adds one row of
-- differences for each queue it touched, and the bridge folds these rows together. As nobody updates a row, nobody
-- waits for another one's count.

CREATE TABLE IF NOT EXISTS public.job_counts (
    queue text NOT NULL,
    pending bigint NOT NULL DEFAULT 0,
    processing bigint NOT NULL DEFAULT 0,
    completed bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    ever_completed bigint NOT NULL DEFAULT 0,
    ever_failed bigint NOT NULL DEFAULT 0,
    ever_cancelled bigint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
-- The rows have no key. Without this, Postgres would refuse to delete them where a publication has all tables.
DO $do$ BEGIN
    IF (SELECT c.relreplident FROM pg_catalog.pg_class c WHERE c.oid = 'public.job_counts'::regclass) <> 'f' THEN
        ALTER TABLE public.job_counts REPLICA IDENTITY FULL;
    END IF;
END $do$;
ALTER TABLE public.job_counts ADD COLUMN IF NOT EXISTS ever_session_refused bigint NOT NULL DEFAULT 0;
COMMENT ON TABLE public.job_counts IS 'Differences to add up: use get_queue_stats(), or sum by queue';
COMMENT ON COLUMN public.job_counts.ever_completed IS 'Completions so far, those of jobs that were deleted or run again included';
COMMENT ON COLUMN public.job_counts.ever_session_refused IS 'Updates of sessions that were refused as a job started or ended';

-- The oldest pending job of a queue. Only inserts and retries write to it.
CREATE INDEX IF NOT EXISTS jobs_oldest ON public.coding_jobs (queue, created_at) WHERE status = 'pending';
-- Finished jobs by age, for retention and for lists of what ended last. One that was ended by hand may have no
-- completed_at.
CREATE INDEX IF NOT EXISTS jobs_ended ON public.coding_jobs (completed_at)
    WHERE status IN ('completed', 'failed', 'cancelled');
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indexrelid = to_regclass('public.jobs_finished')
               AND i.indrelid = 'public.coding_jobs'::regclass) THEN -- of the version before, without jobs that have no completed_at
        DROP INDEX public.jobs_finished;
    END IF;
END $$;
-- The few finished jobs that are listed by their status. A job that completes is not among them, and writes nothing
-- here.
CREATE INDEX IF NOT EXISTS jobs_failed ON public.coding_jobs (status, completed_at)
    WHERE status IN ('failed', 'cancelled');
-- Failed jobs by what their error has in common with others. Only a job that fails for good writes here. Its second
-- condition, which always holds, keeps it from statements that ask for no fingerprint.
CREATE INDEX IF NOT EXISTS jobs_dead ON public.coding_jobs (public.error_fingerprint(error_message), completed_at)
    WHERE status = 'failed' AND public.error_fingerprint(error_message) IS NOT NULL;

-- The table changes with each job. By default vacuum waits until a fifth of all rows has changed, and there may be
-- millions.
ALTER TABLE public.coding_jobs SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
                                    autovacuum_analyze_scale_factor = 0.05);
