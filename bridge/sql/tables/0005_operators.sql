-- What operators do to jobs: replays, and operations on all jobs that a filter means.

ALTER TABLE public.job_audit ADD COLUMN IF NOT EXISTS copy uuid, ADD COLUMN IF NOT EXISTS bulk_operation bigint;
COMMENT ON COLUMN public.job_audit.copy IS 'The job that a replay of job_id inserted';
-- A replay is done once, however often its form is sent.
CREATE UNIQUE INDEX IF NOT EXISTS job_audit_copy ON public.job_audit (copy) WHERE copy IS NOT NULL;
-- The jobs of a bulk operation are many, and in no list of what operators did.
CREATE INDEX IF NOT EXISTS job_audit_single ON public.job_audit (id) WHERE bulk_operation IS NULL;
-- NOT VALID: old rows have older actions, and checking them would hold up who operates meanwhile.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c
                   WHERE c.conrelid = 'public.job_audit'::regclass AND c.conname = 'job_audit_action_check'
                     AND pg_get_constraintdef(c.oid) LIKE '%replay%') THEN
        ALTER TABLE public.job_audit DROP CONSTRAINT IF EXISTS job_audit_action_check,
            ADD CONSTRAINT job_audit_action_check CHECK (action IN ('retry', 'cancel', 'replay')) NOT VALID;
    END IF;
END $$;

-- An operation on all jobs that a filter means: it is the record of who did what, and how far it is. See
-- functions/bulk.sql.
CREATE TABLE IF NOT EXISTS public.bulk_operations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action text NOT NULL CHECK (action IN ('retry', 'cancel', 'replay')),
    filter text NOT NULL,
    conditions jsonb NOT NULL,
    last_seq bigint NOT NULL,
    counts jsonb,
    made_by text NOT NULL,
    reason text,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    jobs_per_second integer CHECK (jobs_per_second > 0),
    state text NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'running', 'stopping', 'stopped', 'done')),
    last_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    done bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    first_refusal text,
    next_batch_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    stopped_by text,
    finished_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON COLUMN public.bulk_operations.conditions IS 'The filter as is_meant() and job_matches() take it';
COMMENT ON COLUMN public.bulk_operations.last_seq IS 'Jobs that were inserted later (a higher coding_jobs.seq) do not belong to it';
COMMENT ON COLUMN public.bulk_operations.counts IS 'How many jobs matched when it was planned, by status; NULL: not counted';
COMMENT ON COLUMN public.bulk_operations.last_id IS 'All jobs up to this id were looked at; changes with each batch, in its transaction';
COMMENT ON COLUMN public.bulk_operations.skipped IS 'Jobs that had changed meanwhile, were locked, or whose change the database refused';
CREATE INDEX IF NOT EXISTS bulk_operations_open ON public.bulk_operations (next_batch_at) WHERE state IN ('running', 'stopping');
