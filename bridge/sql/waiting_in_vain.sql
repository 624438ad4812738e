-- waiting_in_vain: due jobs that no live worker can take where they are. Looks at the 5000 oldest of each queue.
-- Index: jobs_oldest.
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
