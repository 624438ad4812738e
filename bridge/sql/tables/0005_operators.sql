-- What operators do to jobs: replays.

ALTER TABLE public.job_audit ADD COLUMN IF NOT EXISTS copy uuid;
COMMENT ON COLUMN public.job_audit.copy IS 'The job that a replay of job_id inserted';
-- A replay is done once, however often its form is sent.
CREATE UNIQUE INDEX IF NOT EXISTS job_audit_copy ON public.job_audit (copy) WHERE copy IS NOT NULL;
-- NOT VALID: old rows have older actions, and checking them would hold up who operates meanwhile.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c
                   WHERE c.conrelid = 'public.job_audit'::regclass AND c.conname = 'job_audit_action_check'
                     AND pg_get_constraintdef(c.oid) LIKE '%replay%') THEN
        ALTER TABLE public.job_audit DROP CONSTRAINT IF EXISTS job_audit_action_check,
            ADD CONSTRAINT job_audit_action_check CHECK (action IN ('retry', 'cancel', 'replay')) NOT VALID;
    END IF;
END $$;
