-- waiting_in_vain: pending jobs that no live worker can take where they are. Looks at 5000 such jobs at the most.
SELECT s.actor, s.queue, count(*) AS jobs
FROM (SELECT j.actor, j.queue FROM public.coding_jobs j
      WHERE j.status = 'pending' AND j.due
        AND NOT EXISTS (SELECT FROM public.workers w
                        WHERE w.stopped_at IS NULL AND w.lease_expires_at > clock_timestamp()
                          AND j.queue = ANY (w.queues) AND j.actor = ANY (w.actors))
      LIMIT 5000) s
GROUP BY s.actor, s.queue ORDER BY jobs DESC
