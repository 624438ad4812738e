-- Pauses of queues, and what operators did to anything but a single job.

-- A row for each paused queue, which need not have had a job yet. Every claim reads this table: it stays small.
CREATE TABLE IF NOT EXISTS public.queue_pauses (
    queue text PRIMARY KEY CHECK (queue ~ '^[A-Za-z_][A-Za-z0-9._-]*$' AND length(queue) <= 200),
    paused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    paused_by text NOT NULL,
    reason text
);

-- Written in the transaction of the action. What is done to one job is in job_audit.
CREATE TABLE IF NOT EXISTS public.operator_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action text NOT NULL,
    target text NOT NULL,
    done_by text NOT NULL,
    reason text,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN public.operator_audit.action IS 'The name of the function that was called, such as pause_queue';
COMMENT ON COLUMN public.operator_audit.target IS 'What it was called for, such as the name of the queue or worker';

ALTER TABLE public.workers ADD COLUMN IF NOT EXISTS drain_requested_at timestamptz;
COMMENT ON COLUMN public.workers.drain_requested_at IS 'Since when an operator wants it to take no jobs; it obeys with its next heartbeat';
