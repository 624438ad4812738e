-- The job table, the ledger of attempts, the worker processes and the audit trail. Creates what is missing, and
-- adopts an existing coding_jobs in place. Safe to run twice.

DO $$
DECLARE
    taken text;
BEGIN
    SELECT string_agg(t.name, ', ') INTO taken
    FROM (VALUES ('job_attempts', 'fence'), ('workers', 'lease_expires_at'), ('actor_queues', 'max_retries'),
                 ('job_audit', 'done_by'), ('job_notifications', 'job_id'), ('notification_relay', 'relays_until'),
                 ('queue_pauses', 'paused_by'), ('operator_audit', 'done_by'), ('bulk_operations', 'last_seq'),
                 ('queue_history', 'failed_attempts'), ('latency_history', 'bucket'),
                 ('idempotency_keys', 'request_hash'),
                 ('session_turns', 'fence'), ('session_messages', 'begins'), ('session_calls', 'started_fence'),
                 ('session_inbox', 'taken_at'), ('session_requests', 'reserved_usd'),
                 ('job_search', 'words'), ('job_search_progress', 'swept_id')) AS t (name, mark)
    WHERE to_regclass('public.' || t.name) IS NOT NULL
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = to_regclass('public.' || t.name) AND a.attname = t.mark);
    IF taken IS NOT NULL THEN
        RAISE EXCEPTION 'public.% exists already and is not the bridge''s: rename it first, nothing was changed', taken;
    END IF;
END $$;

CREATE TABLE IF NOT EXISTS public.coding_jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid,
    prompt text,
    status text NOT NULL DEFAULT 'pending',
    priority integer NOT NULL DEFAULT 0,
    retry_count integer NOT NULL DEFAULT 0,
    max_retries integer NOT NULL DEFAULT 3,
    error_message text,
    started_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Each added column may be NULL or has a constant default: a large table is not rewritten, and old INSERTs still
-- work. Here and below, a step that is done already takes no lock. `mobvibe migrate up` does the long ones
-- beforehand, beside the traffic: it takes the texts between [name] and [end].
CREATE SEQUENCE IF NOT EXISTS public.coding_jobs_seq;
-- [columns]
DO $$ BEGIN
    IF (SELECT count(*) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = 'public.coding_jobs'::regclass AND NOT a.attisdropped AND a.attname IN (
            'actor', 'queue', 'payload', 'result', 'run_at', 'due', 'seq', 'fence',
            'exec', 'worker', 'lease_expires_at', 'claimed_at', 'claimed_by', 'cancel_requested_at', 'crashes', 'releases',
            'retries_from_actor')) < 17
    THEN
        ALTER TABLE public.coding_jobs
            ADD COLUMN IF NOT EXISTS actor text NOT NULL DEFAULT 'run_coding_session',
            ADD COLUMN IF NOT EXISTS queue text NOT NULL DEFAULT 'coding',
            ADD COLUMN IF NOT EXISTS payload jsonb NOT NULL DEFAULT '{}',
            ADD COLUMN IF NOT EXISTS result jsonb,
            ADD COLUMN IF NOT EXISTS run_at timestamptz,
            ADD COLUMN IF NOT EXISTS due boolean NOT NULL DEFAULT true,
            ADD COLUMN IF NOT EXISTS seq bigint NOT NULL DEFAULT 0,
            ADD COLUMN IF NOT EXISTS fence bigint NOT NULL DEFAULT 0,
            ADD COLUMN IF NOT EXISTS exec uuid,
            ADD COLUMN IF NOT EXISTS worker uuid,
            ADD COLUMN IF NOT EXISTS lease_expires_at timestamptz,
            ADD COLUMN IF NOT EXISTS claimed_at timestamptz,
            ADD COLUMN IF NOT EXISTS claimed_by text,
            ADD COLUMN IF NOT EXISTS cancel_requested_at timestamptz,
            ADD COLUMN IF NOT EXISTS crashes integer NOT NULL DEFAULT 0,
            ADD COLUMN IF NOT EXISTS releases integer NOT NULL DEFAULT 0,
            ADD COLUMN IF NOT EXISTS retries_from_actor boolean NOT NULL DEFAULT false;
    END IF;
END $$;
-- [end]

COMMENT ON COLUMN public.coding_jobs.run_at IS 'Not before this time; NULL is at once';
COMMENT ON COLUMN public.coding_jobs.due IS 'false while run_at is in the future: keeps such rows out of the index that claims read';
COMMENT ON COLUMN public.coding_jobs.seq IS 'Age within a priority: the order of insertion, which created_at cannot give (equal, or set by the client)';
COMMENT ON COLUMN public.coding_jobs.fence IS 'Number of the latest attempt; every claim raises it by one';
COMMENT ON COLUMN public.coding_jobs.exec IS 'Random id of the one run of the latest attempt; NULL until a worker starts it';
COMMENT ON COLUMN public.coding_jobs.crashes IS 'How strongly it is suspected of ending its workers, see suspicion(); from 2 on it runs isolated, see isolated_until()';
COMMENT ON COLUMN public.coding_jobs.releases IS 'How often in a row it was handed back with no retry spent; from the fourth time on it waits, longer each time';
COMMENT ON COLUMN public.coding_jobs.retries_from_actor IS 'max_retries was not given, and no worker had announced the actor yet: its first claim by a bridge sets it';
COMMENT ON COLUMN public.coding_jobs.lease_expires_at IS 'A claim must be started by then; NULL once started, when the lease of the worker counts';

-- [optional]
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = 'public.coding_jobs'::regclass AND a.attname IN ('session_id', 'prompt') AND a.attnotnull) THEN
        ALTER TABLE public.coding_jobs ALTER COLUMN session_id DROP NOT NULL, ALTER COLUMN prompt DROP NOT NULL;
    END IF;
END $$;
-- [end]

-- The ledger: one row for each attempt that ended, written by the statement that ends it. Because of the primary key
-- no attempt can end twice. There is no foreign key, since its check would cost each report a look-up: a trigger
-- (triggers/jobs.sql) deletes the rows of a deleted job.
CREATE TABLE IF NOT EXISTS public.job_attempts (
    job_id uuid NOT NULL,
    fence bigint NOT NULL,
    exec uuid,
    worker uuid,
    claimed_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz NOT NULL,
    outcome text NOT NULL
        CHECK (outcome IN ('completed', 'failed', 'released', 'reclaimed', 'crashed', 'cancelled')),
    error text,
    PRIMARY KEY (job_id, fence)
);

-- The changes below are not events in the life of a job. The host's triggers, which may write updated_at or notify
-- other programs, are off for them if this role may do that.
-- [quiet]
DO $$ BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
EXCEPTION WHEN insufficient_privilege THEN
    NULL;
END $$;
-- [end]

-- Repairs rows that the old schema allowed, and that no claim would ever find or no program could read. NULL stays
-- where it is allowed.
-- [repair]
UPDATE public.coding_jobs
SET status = coalesce(status, CASE WHEN completed_at IS NULL THEN 'pending'
                                   WHEN error_message IS NULL THEN 'completed' ELSE 'failed' END),
    priority = coalesce(priority, 0),
    retry_count = least(greatest(coalesce(retry_count, 0), 0), 1000000000),
    max_retries = greatest(coalesce(max_retries, 3), 0),
    created_at = least(greatest(coalesce(created_at, started_at, completed_at, now()), '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00'),
    updated_at = least(greatest(coalesce(updated_at, completed_at, started_at, created_at, now()), '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00'),
    started_at = CASE WHEN started_at IS NOT NULL
                      THEN least(greatest(started_at, '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00') END,
    completed_at = CASE WHEN completed_at IS NOT NULL
                        THEN least(greatest(completed_at, '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00') END
WHERE (status IS NULL OR priority IS NULL OR created_at IS NULL OR updated_at IS NULL
   OR retry_count IS NULL OR retry_count NOT BETWEEN 0 AND 1000000000 OR max_retries IS NULL OR max_retries < 0
   OR least(created_at, updated_at, started_at, completed_at) < '0001-01-02 00:00:00+00'
   OR greatest(created_at, updated_at, started_at, completed_at) > '9999-12-30 00:00:00+00');
-- [end]

DO $$
DECLARE
    strange text;
BEGIN
    SELECT string_agg(DISTINCT quote_literal(left(j.status, 40)), ', ') INTO strange FROM public.coding_jobs j
    WHERE j.status NOT IN ('pending', 'processing', 'completed', 'failed', 'cancelled');
    IF strange IS NOT NULL THEN
        RAISE EXCEPTION 'coding_jobs has rows with status %, which no job can have: correct them first, as with UPDATE coding_jobs SET status = ''failed'' WHERE status = …', strange;
    END IF;
END $$;

-- The constraints. A comment on each says which version made it: an older one is replaced.
-- [rules]
DO $$
DECLARE
    rule record;
    done record;
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = 'public.coding_jobs'::regclass AND NOT a.attnotnull AND NOT a.attisdropped
                 AND a.attname IN ('status', 'priority', 'retry_count', 'max_retries', 'created_at', 'updated_at')) THEN
        ALTER TABLE public.coding_jobs
            ALTER COLUMN status SET NOT NULL, ALTER COLUMN priority SET NOT NULL, ALTER COLUMN retry_count SET NOT NULL,
            ALTER COLUMN max_retries SET NOT NULL, ALTER COLUMN created_at SET NOT NULL, ALTER COLUMN updated_at SET NOT NULL;
    END IF;
    FOR rule IN SELECT * FROM (VALUES
        ('coding_jobs_status_check', $c$status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')$c$),
        ('coding_jobs_counts_check', $c$retry_count BETWEEN 0 AND 1000000000 AND max_retries >= 0
            AND crashes BETWEEN 0 AND 1000000000 AND releases BETWEEN 0 AND 1000000000
            AND fence BETWEEN 0 AND 4611686018427387904$c$),
        -- No infinity, and no year that most programs cannot read: one such row would make every list of jobs fail.
        ('coding_jobs_times_check', $c$least(created_at, updated_at, run_at, started_at, completed_at) >= '0001-01-02 00:00:00+00'
            AND greatest(created_at, updated_at, run_at, started_at, completed_at) <= '9999-12-30 00:00:00+00'$c$),
        ('coding_jobs_names_check', $c$actor <> '' AND length(actor) <= 200
            AND queue ~ '^[A-Za-z_][A-Za-z0-9._-]*$' AND length(queue) <= 200$c$)) AS r (name, condition)
    LOOP
        SELECT c.convalidated, obj_description(c.oid, 'pg_constraint') AS version INTO done FROM pg_catalog.pg_constraint c
        WHERE c.conrelid = 'public.coding_jobs'::regclass AND c.conname = rule.name;
        IF done.version IS DISTINCT FROM 'mobvibe 12' THEN
            EXECUTE format('ALTER TABLE public.coding_jobs DROP CONSTRAINT IF EXISTS %I', rule.name);
            EXECUTE format('ALTER TABLE public.coding_jobs ADD CONSTRAINT %I CHECK (%s) %s', rule.name, rule.condition,
                           CASE WHEN current_setting('mobvibe.validate', true) = 'later' THEN 'NOT VALID' ELSE '' END);
            EXECUTE format('COMMENT ON CONSTRAINT %I ON public.coding_jobs IS %L', rule.name, 'mobvibe 12');
        ELSIF NOT done.convalidated AND current_setting('mobvibe.validate', true) IS DISTINCT FROM 'later' THEN
            EXECUTE format('ALTER TABLE public.coding_jobs VALIDATE CONSTRAINT %I', rule.name);
        END IF;
    END LOOP;
END $$;
-- [end]

-- New rows get a seq from 1 on; unfinished rows from before get theirs in the order of age.
-- [order]
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                   WHERE d.adrelid = 'public.coding_jobs'::regclass AND a.attname = 'seq'
                     AND pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval%') THEN
        ALTER TABLE public.coding_jobs ALTER COLUMN seq SET DEFAULT nextval('public.coding_jobs_seq');
    END IF;
END $$;
-- [end]
UPDATE public.coding_jobs j
SET seq = waiting.seq
FROM (SELECT w.id, nextval('public.coding_jobs_seq') AS seq
      FROM (SELECT id FROM public.coding_jobs
            WHERE seq = 0 AND status IN ('pending', 'processing') ORDER BY created_at, id) w) waiting
WHERE j.id = waiting.id;

DO $$ BEGIN
    PERFORM set_config('session_replication_role', 'origin', true);
EXCEPTION WHEN insufficient_privilege THEN
    NULL;
END $$;

-- Ids in the order of time, where the server can make them: the jobs in work then share a few pages of each index. Before
-- the indexes: a stronger lock after theirs would be a deadlock with an old worker's claim.
DO $$
BEGIN
    IF to_regprocedure('pg_catalog.uuidv7()') IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        WHERE d.adrelid = 'public.coding_jobs'::regclass AND a.attname = 'id' AND pg_get_expr(d.adbin, d.adrelid) LIKE '%uuidv7%')
    THEN
        ALTER TABLE public.coding_jobs ALTER COLUMN id SET DEFAULT pg_catalog.uuidv7();
    END IF;
END $$;

CREATE INDEX IF NOT EXISTS jobs_ready ON public.coding_jobs (queue, priority DESC, seq)
    WHERE status = 'pending' AND due;
CREATE INDEX IF NOT EXISTS jobs_scheduled ON public.coding_jobs (run_at)
    WHERE status = 'pending' AND NOT due;
CREATE INDEX IF NOT EXISTS jobs_suspect ON public.coding_jobs (status, seq)
    WHERE crashes > 0 AND status IN ('pending', 'processing');
CREATE INDEX IF NOT EXISTS jobs_processing ON public.coding_jobs (claimed_at)
    WHERE status = 'processing';
CREATE INDEX IF NOT EXISTS jobs_of_session ON public.coding_jobs (session_id)
    WHERE session_id IS NOT NULL;
-- Half of each page stays free, for the row version that a start writes: on the same page it needs no new index
-- entry.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                   WHERE c.oid = 'public.coding_jobs'::regclass AND 'fillfactor=50' = ANY (c.reloptions)) THEN
        ALTER TABLE public.coding_jobs SET (fillfactor = 50);
    END IF;
END $$;

-- Worker processes, a row for each. A heartbeat writes that row only, however many jobs the process runs.
CREATE TABLE IF NOT EXISTS public.workers (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    slots integer NOT NULL CHECK (slots > 0),
    queues text[] NOT NULL,
    actors text[] NOT NULL,
    actor_options jsonb NOT NULL DEFAULT '{}',
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_expires_at timestamptz NOT NULL,
    draining boolean NOT NULL DEFAULT false,
    stopped_at timestamptz,
    stop_reason text CHECK (stop_reason IN ('stopped', 'lost'))
) WITH (fillfactor = 50);
ALTER TABLE public.workers
    ADD COLUMN IF NOT EXISTS linked boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS link_lost_at timestamptz,
    ADD COLUMN IF NOT EXISTS link_patience interval NOT NULL DEFAULT '0',
    ADD COLUMN IF NOT EXISTS ended_by uuid;
COMMENT ON COLUMN public.workers.linked IS 'It holds the session lock worker_key(id) while its link to this server is up';
COMMENT ON COLUMN public.workers.link_lost_at IS 'Since when that lock was seen free';
COMMENT ON COLUMN public.workers.link_patience IS 'How long it may be free before the worker is lost, where its link is slow';
COMMENT ON COLUMN public.workers.ended_by IS 'The job that ended the process, where its end pointed at one';
CREATE INDEX IF NOT EXISTS workers_live ON public.workers (id) WHERE stopped_at IS NULL;

-- The queue and attempts of each actor, as workers announced them. Read for each row that names no queue. Rows
-- outlive the workers.
CREATE TABLE IF NOT EXISTS public.actor_queues (
    actor text PRIMARY KEY,
    queue text NOT NULL,
    max_retries integer
);

-- What operators did to a job, written in the same transaction. Rows outlive the job.
CREATE TABLE IF NOT EXISTS public.job_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id uuid NOT NULL,
    action text NOT NULL CHECK (action IN ('retry', 'cancel')),
    done_by text NOT NULL,
    reason text,
    status_before text NOT NULL,
    status_after text NOT NULL,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS job_audit_of_job ON public.job_audit (job_id);
