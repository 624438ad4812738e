-- All that is left of the bridge, with what is in it: tables, columns, sequences.

DO $do$
DECLARE
    tbl record;
BEGIN
    FOR tbl IN
        SELECT t.name FROM (VALUES
            ('job_attempts', 'fence'), ('workers', 'lease_expires_at'), ('actor_queues', 'max_retries'), ('job_audit', 'done_by'),
            ('job_counts', 'ever_completed'), ('session_streams', 'last_seq'), ('job_notifications', 'job_id'),
            ('notification_relay', 'relays_until'), ('queue_pauses', 'paused_by'), ('operator_audit', 'done_by'),
            ('bulk_operations', 'last_seq'), ('queue_history', 'failed_attempts'), ('latency_history', 'bucket'),
            ('idempotency_keys', 'request_hash'), ('session_turns', 'fence'), ('session_messages', 'begins'),
            ('session_calls', 'started_fence'), ('session_inbox', 'taken_at'), ('session_requests', 'reserved_usd'),
            ('session_bundles', 'base'), ('job_search', 'words'), ('job_search_progress', 'swept_id')) AS t (name, mark)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = to_regclass('public.' || t.name) AND a.attname = t.mark
    LOOP
        EXECUTE format('DROP TABLE public.%I', tbl.name);
    END LOOP;
END $do$;
ALTER TABLE public.coding_jobs
    DROP COLUMN IF EXISTS actor, DROP COLUMN IF EXISTS queue, DROP COLUMN IF EXISTS payload, DROP COLUMN IF EXISTS result,
    DROP COLUMN IF EXISTS run_at, DROP COLUMN IF EXISTS due, DROP COLUMN IF EXISTS seq, DROP COLUMN IF EXISTS fence,
    DROP COLUMN IF EXISTS exec, DROP COLUMN IF EXISTS worker, DROP COLUMN IF EXISTS lease_expires_at, DROP COLUMN IF EXISTS claimed_at,
    DROP COLUMN IF EXISTS claimed_by, DROP COLUMN IF EXISTS cancel_requested_at, DROP COLUMN IF EXISTS crashes,
    DROP COLUMN IF EXISTS releases, DROP COLUMN IF EXISTS retries_from_actor;
DROP SEQUENCE IF EXISTS public.coding_jobs_seq;
DROP SEQUENCE IF EXISTS public.session_events_seq;
DROP FUNCTION IF EXISTS public.mobvibe_database_id();
DROP FUNCTION IF EXISTS public.may_choose_actor();
