-- What waits in the queues.

-- name: queue_counts
SELECT queue, pending, processing, completed, failed, cancelled, ever_completed, ever_failed, ever_cancelled,
       extract(epoch FROM oldest_pending_age)::float8 AS oldest_pending_seconds
FROM public.queue_counts() ORDER BY queue

-- name: refused_sessions
-- By queue, how many updates of sessions were refused so far.
SELECT c.queue, sum(c.ever_session_refused)::bigint AS refused FROM public.job_counts c
GROUP BY c.queue HAVING sum(c.ever_session_refused) > 0 ORDER BY c.queue

-- name: next_due
-- Seconds until the next waiting job is due; NULL when none waits. Index: jobs_scheduled.
SELECT extract(epoch FROM run_at - clock_timestamp())::float8 AS seconds
FROM public.coding_jobs WHERE status = 'pending' AND NOT due ORDER BY run_at LIMIT 1

-- name: unstarted
-- Which of some hand-overs wait for their start. Index: primary key.
SELECT j.id, j.fence FROM public.coding_jobs j
WHERE j.id = ANY (%(ids)s::uuid[]) AND j.status || '' = 'processing' AND j.exec IS NULL

-- name: latest_seq
-- The highest `seq` given to a job so far, committed or not.
SELECT last_value AS seq FROM public.coding_jobs_seq

-- name: waiting_in_vain
-- Due jobs that no live worker can run in the queue where they are. Reads the 5000 oldest of each queue. Index:
-- jobs_oldest.
WITH RECURSIVE queues AS (
    (SELECT j.queue FROM public.coding_jobs j WHERE j.status = 'pending' ORDER BY j.queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.queue > q.queue ORDER BY j.queue LIMIT 1)
    FROM queues q WHERE q.queue IS NOT NULL
)
SELECT s.actor, s.queue, count(*) AS jobs
FROM queues q CROSS JOIN LATERAL (
    SELECT j.actor, j.queue, j.due FROM public.coding_jobs j
    WHERE j.status = 'pending' AND j.queue = q.queue ORDER BY j.created_at LIMIT 5000) s
WHERE s.due AND NOT EXISTS (SELECT FROM public.workers w
                            WHERE w.stopped_at IS NULL AND w.lease_expires_at > clock_timestamp()
                              AND s.queue = ANY (w.queues) AND s.actor = ANY (w.actors))
GROUP BY s.actor, s.queue ORDER BY jobs DESC

-- name: queue_pauses
-- The paused queues.
SELECT queue, paused_at, paused_by, reason FROM public.queue_pauses ORDER BY queue

-- name: pause_queue
SELECT changed, paused_at, paused_by, reason FROM public.pause_queue(%(queue)s, coalesce(%(by)s, current_user), %(reason)s)

-- name: resume_queue
SELECT paused_at, paused_by, reason FROM public.resume_queue(%(queue)s, coalesce(%(by)s, current_user), %(reason)s)
