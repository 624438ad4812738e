-- queue_counts: see migrations/0010_statistics.sql
SELECT queue, pending, processing, completed, failed, cancelled, ever_completed, ever_failed, ever_cancelled,
       extract(epoch FROM oldest_pending_age)::float8 AS oldest_pending_seconds
FROM public.queue_counts() ORDER BY queue
