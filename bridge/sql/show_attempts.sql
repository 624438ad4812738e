-- show_attempts: the ended attempts of one job, oldest first. Index: primary key.
SELECT a.fence, a.outcome, a.claimed_at, a.started_at, a.finished_at, w.name AS worker, left(a.error, %(error_most)s) AS error
FROM public.job_attempts a LEFT JOIN public.workers w ON w.id = a.worker
WHERE a.job_id = %(id)s ORDER BY a.fence
