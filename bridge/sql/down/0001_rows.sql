-- Rows that the Node worker does not know. Safe to run twice, before and after the next step.

-- A cancelled job has failed: the old schema knows no other word for it. For the host's triggers nothing has happened.
DO $$ BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
EXCEPTION WHEN insufficient_privilege THEN
    NULL;
END $$;
-- [cancelled]
UPDATE public.coding_jobs SET status = 'failed', error_message = coalesce(error_message, 'cancelled') WHERE status = 'cancelled';
-- [end]
DO $$ BEGIN
    PERFORM set_config('session_replication_role', 'origin', true);
EXCEPTION WHEN insufficient_privilege THEN
    NULL;
END $$;

-- It takes each pending row for a prompt that is due. What it would run wrongly has failed, and says why.
-- [unfit]
UPDATE public.coding_jobs
SET status = 'failed', completed_at = clock_timestamp(), updated_at = clock_timestamp(),
    error_message = 'mobvibe migrate down: the Node worker cannot '
        || CASE WHEN actor <> 'run_coding_session' THEN 'run the actor ' || actor
                WHEN run_at > clock_timestamp() THEN 'wait until ' || date_trunc('second', run_at)
                ELSE 'run a job without a session and a prompt' END
WHERE status = 'pending' AND (actor <> 'run_coding_session' OR session_id IS NULL OR prompt IS NULL
    OR run_at > clock_timestamp() AND retry_count = 0 AND crashes = 0 AND releases = 0);
-- [end]
