-- queue_counts: open jobs by queue. Indexes: jobs_ready, jobs_scheduled, jobs_processing.
SELECT queue, count(*) FILTER (WHERE status = 'pending') AS pending,
       count(*) FILTER (WHERE status = 'processing') AS processing,
       extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE status = 'pending'))::float8 AS oldest_pending_seconds
FROM public.coding_jobs WHERE status IN ('pending', 'processing')
GROUP BY queue ORDER BY queue
