-- What happened in each minute of the last day and each hour of the last month, by queue: see functions/history.sql.
-- The bridge adds it up from the jobs and the ledger, so that no job pays for it.

-- Attempts that ended otherwise than completed, by their end. A completed one is found by the end of its job
-- (jobs_ended), and writes nothing here.
CREATE INDEX IF NOT EXISTS attempts_not_completed ON public.job_attempts (finished_at)
    WHERE outcome <> 'completed';

-- Counts. `seconds` is the length of the span that begins at `at`: a minute or an hour. A row without a queue ('') says
-- that the span was recorded: a queue in which nothing happened then has no row.
CREATE TABLE IF NOT EXISTS public.queue_history (
    seconds integer NOT NULL CHECK (seconds IN (60, 3600)),
    at timestamptz NOT NULL,
    queue text NOT NULL,
    inserted bigint NOT NULL DEFAULT 0,
    started bigint NOT NULL DEFAULT 0,
    completed bigint NOT NULL DEFAULT 0,
    failed_attempts bigint NOT NULL DEFAULT 0,
    retried bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    pending bigint,
    processing bigint,
    PRIMARY KEY (seconds, at, queue)
);
COMMENT ON COLUMN public.queue_history.started IS 'Attempts that a worker began';
COMMENT ON COLUMN public.queue_history.failed_attempts IS 'Attempts that failed, crashed or were reclaimed, the last ones of failed jobs included';
COMMENT ON COLUMN public.queue_history.retried IS 'Those of them after which the job waits for another attempt';
COMMENT ON COLUMN public.queue_history.failed IS 'Jobs that failed for good';
COMMENT ON COLUMN public.queue_history.pending IS 'Jobs when the minute was recorded, in an hour the most of its minutes; NULL: it was recorded later';

-- Latencies, as histograms: in how many attempts a stage took a time of this bucket, see latency_bucket().
CREATE TABLE IF NOT EXISTS public.latency_history (
    seconds integer NOT NULL CHECK (seconds IN (60, 3600)),
    at timestamptz NOT NULL,
    queue text NOT NULL,
    stage text NOT NULL,
    bucket smallint NOT NULL,
    attempts bigint NOT NULL,
    PRIMARY KEY (seconds, at, queue, stage, bucket)
);
COMMENT ON COLUMN public.latency_history.stage IS
    'claim: from when the job could run to its claim; hand_over: from there until Redis had its message; start: from the claim to the start; wait: claim and start; run: from the start to the end';
-- The release before had a rule for stages, which refuses those of later ones. None is needed: only the bridge writes here.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_constraint c
               WHERE c.conrelid = 'public.latency_history'::regclass AND c.conname = 'latency_history_stage_check') THEN
        ALTER TABLE public.latency_history DROP CONSTRAINT latency_history_stage_check;
    END IF;
END $$;
