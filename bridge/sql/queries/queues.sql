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
-- name: history
-- What happened in each step of the last time, by history.sql; one queue, or NULL for all. A step without rows was not
-- recorded. `spans`: how many minutes or hours of it were. Index: primary key.
WITH steps AS (
    SELECT t.at, make_interval(secs => %(step)s) AS length
    FROM (SELECT date_bin(make_interval(secs => %(step)s), clock_timestamp() - interval '1 minute', '2000-01-01 00:00:00+00') AS latest) l
    CROSS JOIN generate_series(l.latest - make_interval(secs => %(range)s - %(step)s), l.latest, make_interval(secs => %(step)s)) AS t (at)
), spans AS (
    SELECT h.at, count(*) FILTER (WHERE h.queue = '') AS spans, sum(h.inserted) AS inserted, sum(h.started) AS started,
           sum(h.completed) AS completed, sum(h.failed_attempts) AS failed_attempts, sum(h.retried) AS retried,
           sum(h.failed) AS failed, sum(h.cancelled) AS cancelled, sum(h.pending) AS pending, sum(h.processing) AS processing
    FROM public.queue_history h
    WHERE h.seconds = %(seconds)s AND h.at >= (SELECT min(s.at) FROM steps s)
      AND (%(queue)s::text IS NULL OR h.queue IN ('', %(queue)s))
    GROUP BY h.at
)
SELECT extract(epoch FROM s.at)::bigint AS at, coalesce(sum(m.spans), 0)::integer AS spans, sum(m.inserted)::bigint AS inserted,
       sum(m.started)::bigint AS started, sum(m.completed)::bigint AS completed, sum(m.failed_attempts)::bigint AS failed_attempts,
       sum(m.retried)::bigint AS retried, sum(m.failed)::bigint AS failed, sum(m.cancelled)::bigint AS cancelled,
       max(m.pending)::bigint AS pending, max(m.processing)::bigint AS processing
FROM steps s LEFT JOIN spans m ON m.at >= s.at AND m.at < s.at + s.length
GROUP BY s.at ORDER BY s.at

-- name: latencies
-- The histograms of the same steps: how many attempts took a time of which bucket, by stage. Index: primary key.
SELECT extract(epoch FROM date_bin(make_interval(secs => %(step)s), h.at, '2000-01-01 00:00:00+00'))::bigint AS at, h.stage,
       h.bucket, sum(h.attempts)::bigint AS attempts
FROM public.latency_history h
WHERE h.seconds = %(seconds)s AND h.at >= to_timestamp(%(since)s) AND (%(queue)s::text IS NULL OR h.queue = %(queue)s)
GROUP BY 1, 2, 3

-- name: add_hand_overs
-- Adds hand-overs of one bridge to what all bridges have counted in the same minutes and hours. In the order of the key:
-- otherwise two bridges could wait for each other. None is added before the migration that allows them. Index: primary key.
INSERT INTO public.latency_history AS h (seconds, at, queue, stage, bucket, attempts)
SELECT s.seconds, date_bin(make_interval(secs => s.seconds), to_timestamp(n.minute), '2000-01-01 00:00:00+00'), n.queue,
       'hand_over', n.bucket, sum(n.jobs)
FROM unnest(%(minutes)s::bigint[], %(queues)s::text[], %(buckets)s::smallint[], %(jobs)s::bigint[]) AS n (minute, queue, bucket, jobs)
CROSS JOIN (VALUES (60), (3600)) AS s (seconds)
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_constraint c
    WHERE c.conrelid = 'public.latency_history'::regclass AND c.conname = 'latency_history_stage_check')
GROUP BY 1, 2, 3, 5
ORDER BY 1, 2, 3, 5
ON CONFLICT (seconds, at, queue, stage, bucket) DO UPDATE SET attempts = h.attempts + excluded.attempts

-- name: latencies_of_queues
-- The histograms of the last hour, by queue and stage. Index: primary key.
SELECT h.queue, h.stage, h.bucket, sum(h.attempts)::bigint AS attempts
FROM public.latency_history h
WHERE h.seconds = 60 AND h.at >= clock_timestamp() - interval '1 hour'
GROUP BY 1, 2, 3

-- name: live
-- What the pages show live, in one row: jobs by queue and status, for how long a job has been able to run; and the live
-- workers. Due jobs of one priority are read in the order of their insertion, up to 20, of up to 50 priorities of a queue:
-- after the first that was never put off none has waited longer. `is_least`: that one was not found, and a job may have
-- waited longer. Index: jobs_ready.
WITH RECURSIVE counts AS (
    SELECT o.queue, sum(o.pending)::bigint AS pending, sum(o.processing)::bigint AS processing,
           sum(o.completed)::bigint AS completed, sum(o.failed)::bigint AS failed, sum(o.cancelled)::bigint AS cancelled
    FROM public.job_counts o GROUP BY o.queue
), priorities AS (
    SELECT c.queue, p.priority, 1 AS number
    FROM counts c CROSS JOIN LATERAL (
        SELECT j.priority FROM public.coding_jobs j
        WHERE j.status = 'pending' AND j.due AND j.queue = c.queue ORDER BY j.priority LIMIT 1) p
    UNION ALL
    SELECT l.queue, p.priority, l.number + 1
    FROM priorities l CROSS JOIN LATERAL (
        SELECT j.priority FROM public.coding_jobs j
        WHERE j.status = 'pending' AND j.due AND j.queue = l.queue AND j.priority > l.priority ORDER BY j.priority LIMIT 1) p
    WHERE l.number < 50
), oldest AS (
    SELECT p.queue, min(f.since) AS since, max(p.number) = 50 OR bool_or(f.is_least) AS is_least
    FROM priorities p CROSS JOIN LATERAL (
        SELECT min(greatest(s.created_at, s.run_at)) AS since, count(*) = 20 AND bool_and(s.run_at IS NOT NULL) AS is_least
        FROM (SELECT j.created_at, j.run_at FROM public.coding_jobs j
              WHERE j.status = 'pending' AND j.due AND j.queue = p.queue AND j.priority = p.priority
              ORDER BY j.seq LIMIT 20) s) f
    GROUP BY p.queue
)
SELECT coalesce((
           SELECT json_agg(json_build_object(
               'queue', c.queue, 'pending', c.pending, 'processing', c.processing, 'completed', c.completed,
               'failed', c.failed, 'cancelled', c.cancelled,
               'oldest_due_seconds', extract(epoch FROM clock_timestamp() - d.since), 'is_least', d.is_least) ORDER BY c.queue)
           FROM counts c LEFT JOIN oldest d ON d.queue = c.queue), '[]') AS queues,
       count(*) AS workers, coalesce(sum(w.slots), 0) AS slots,
       (SELECT count(*) FROM public.coding_jobs j WHERE j.status = 'processing' AND j.exec IS NOT NULL) AS busy
FROM public.workers w WHERE w.stopped_at IS NULL AND w.lease_expires_at > clock_timestamp()

-- name: attention
-- Whether a job was handed over at least so many seconds ago and has not started; and whether a worker is silent: its
-- lease has run out, and nobody has declared it lost yet. Indexes: jobs_processing, workers_live.
SELECT EXISTS (SELECT FROM public.coding_jobs j
               WHERE j.status = 'processing' AND j.exec IS NULL AND public.is_bridge(j.claimed_by)
                 AND j.claimed_at < clock_timestamp() - make_interval(secs => %(stuck_seconds)s)) AS stuck,
       EXISTS (SELECT FROM public.workers w
               WHERE w.stopped_at IS NULL AND w.lease_expires_at < clock_timestamp()) AS silent
