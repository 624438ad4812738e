-- list_jobs: the latest jobs, what changed last first: waiting ones by when they were made, running ones by their
-- claim, finished ones by their end. The latest %(looked_at)s of each kind are looked at; waiting: of each queue.
-- Indexes: jobs_oldest, jobs_processing, jobs_ended, jobs_failed, primary key.
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
), by_hand AS (  -- finished, and nobody said when
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
