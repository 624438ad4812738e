-- Jobs: sent, listed, cancelled and retried.

-- name: enqueue
-- One job, in the transaction that the caller has open. If the caller names no queue or no number of attempts,
-- route_new_job (triggers/jobs.sql) gives the actor's own. A setting says that 3 attempts are meant, which is also
-- the column's default: a column could not say so, as the role may have rights on the documented columns only.
INSERT INTO public.coding_jobs (actor, queue, payload, session_id, prompt, priority, run_at, max_retries)
VALUES (%(actor)s, coalesce(%(queue)s::text, 'coding'), %(payload)s::text::jsonb, %(session_id)s, %(prompt)s, %(priority)s,
        %(run_at)s,
        CASE WHEN coalesce(%(queue)s::text, 'coding') = 'coding' AND %(max_retries)s::integer = 3
             THEN CASE WHEN set_config('mobvibe.three_attempts', statement_timestamp()::text, true) <> '' THEN 3 END
             ELSE coalesce(%(max_retries)s::integer, 3) END)
RETURNING id

-- name: send
-- One job under the id of its message. No row: that id is there already. 3 attempts: as in enqueue.
INSERT INTO public.coding_jobs (id, actor, queue, payload, priority, run_at, max_retries)
VALUES (%(id)s, %(actor)s, %(queue)s, %(payload)s::text::jsonb, %(priority)s,
        CASE WHEN %(delay)s::interval > interval '0' THEN now() + %(delay)s::interval END,
        CASE WHEN %(queue)s::text = 'coding' AND %(max_retries)s::integer = 3
             THEN CASE WHEN set_config('mobvibe.three_attempts', statement_timestamp()::text, true) <> '' THEN 3 END
             ELSE coalesce(%(max_retries)s::integer, 3) END)
ON CONFLICT (id) DO NOTHING
RETURNING id

-- name: created_at
-- When a job was inserted, for a caller that must not run an old one.
SELECT created_at FROM public.coding_jobs WHERE id = %(id)s

-- name: list_jobs
-- The latest jobs, newest first: pending ones by their insertion, running ones by their claim, finished ones by their
-- end. Reads the latest %(looked_at)s of each kind; of pending ones, in each queue. Indexes: jobs_oldest,
-- jobs_processing, jobs_ended, jobs_failed, primary key.
WITH RECURSIVE queues AS (
    (SELECT j.queue FROM public.coding_jobs j WHERE j.status = 'pending' ORDER BY j.queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.queue > q.queue ORDER BY j.queue LIMIT 1)
    FROM queues q WHERE q.queue IS NOT NULL
), waiting AS (
    SELECT s.id, s.at
    FROM queues q CROSS JOIN LATERAL (
        SELECT w.id, w.at
        FROM (SELECT j.id, j.actor, j.created_at AS at FROM public.coding_jobs j
              WHERE j.status = 'pending' AND j.queue = q.queue ORDER BY j.created_at DESC LIMIT %(looked_at)s) w
        WHERE w.actor = coalesce(%(actor)s, w.actor) LIMIT %(limit)s) s
    WHERE coalesce(%(status)s, 'pending') = 'pending'
), running AS (
    SELECT s.id, s.at
    FROM (SELECT j.id, j.actor, j.claimed_at AS at FROM public.coding_jobs j
          WHERE j.status = 'processing' ORDER BY j.claimed_at DESC LIMIT %(looked_at)s) s
    WHERE coalesce(%(status)s, 'processing') = 'processing' AND s.actor = coalesce(%(actor)s, s.actor)
    LIMIT %(limit)s
), finished AS (
    SELECT s.id, s.at
    FROM (SELECT j.id, j.actor, j.status, j.completed_at AS at FROM public.coding_jobs j
          WHERE j.status IN ('completed', 'failed', 'cancelled') AND j.completed_at IS NOT NULL
          ORDER BY j.completed_at DESC LIMIT %(looked_at)s) s
    WHERE coalesce(%(status)s, 'completed') = 'completed'
      AND s.status = coalesce(%(status)s, s.status) AND s.actor = coalesce(%(actor)s, s.actor)
    LIMIT %(limit)s
), failed AS (
    SELECT s.id, s.at
    FROM (SELECT j.id, j.actor, j.completed_at AS at FROM public.coding_jobs j
          WHERE j.status IN ('failed', 'cancelled') AND j.status = %(status)s AND j.completed_at IS NOT NULL
          ORDER BY j.completed_at DESC LIMIT %(looked_at)s) s
    WHERE s.actor = coalesce(%(actor)s, s.actor) LIMIT %(limit)s
), by_hand AS (  -- finished, without completed_at
    SELECT s.id, s.at
    FROM (SELECT j.id, j.actor, j.status, j.updated_at AS at FROM public.coding_jobs j
          WHERE j.status IN ('completed', 'failed', 'cancelled') AND j.completed_at IS NULL LIMIT %(looked_at)s) s
    WHERE coalesce(%(status)s, 'completed') IN ('completed', 'failed', 'cancelled')
      AND s.status = coalesce(%(status)s, s.status) AND s.actor = coalesce(%(actor)s, s.actor)
    ORDER BY s.at DESC LIMIT %(limit)s
), latest AS (
    SELECT * FROM waiting UNION ALL SELECT * FROM running UNION ALL SELECT * FROM finished
    UNION ALL SELECT * FROM failed UNION ALL SELECT * FROM by_hand
    ORDER BY at DESC, id LIMIT %(limit)s
)
SELECT j.id, j.status, j.actor, j.queue, j.priority, j.retry_count, j.max_retries, j.created_at, j.completed_at,
       left(j.error_message, %(error_most)s) AS error_message
FROM latest l JOIN public.coding_jobs j USING (id)
ORDER BY l.at DESC, l.id

-- name: show_job
-- One job, every column. Index: primary key.
SELECT id, status, actor, queue, priority, session_id, prompt, payload, result, error_message, retry_count, max_retries,
       run_at, created_at, claimed_at, started_at, completed_at, updated_at, fence, exec, worker, claimed_by,
       cancel_requested_at, to_jsonb(j) -> 'releases' AS releases
FROM public.coding_jobs j WHERE id = %(id)s

-- name: show_attempts
-- The ended attempts of one job, oldest first. Index: primary key.
SELECT a.fence, a.outcome, a.claimed_at, a.started_at, a.finished_at, w.name AS worker, left(a.error, %(error_most)s) AS error
FROM public.job_attempts a LEFT JOIN public.workers w ON w.id = a.worker
WHERE a.job_id = %(id)s ORDER BY a.fence

-- name: cancel_job
SELECT public.cancel_job(%(id)s, coalesce(%(by)s, current_user), %(reason)s) AS status

-- name: retry_job
SELECT public.retry_job(%(id)s, coalesce(%(by)s, current_user), %(reason)s) AS status
