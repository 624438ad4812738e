-- What is in the queues, by the counts that triggers keep (tables/0003_job_counts.sql).

-- queue_counts: jobs by queue and status, and the age of the oldest pending one. Index: jobs_oldest.
CREATE OR REPLACE FUNCTION public.queue_counts()
RETURNS TABLE (queue text, pending bigint, processing bigint, completed bigint, failed bigint, cancelled bigint,
               ever_completed bigint, ever_failed bigint, ever_cancelled bigint, oldest_pending_age interval)
LANGUAGE plpgsql STABLE SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT s.queue, s.pending, s.processing, s.completed, s.failed, s.cancelled,
           s.ever_completed, s.ever_failed, s.ever_cancelled,
           clock_timestamp() - (SELECT j.created_at FROM public.coding_jobs j
                                WHERE j.queue = s.queue AND j.status = 'pending' ORDER BY j.created_at LIMIT 1)
    FROM (SELECT c.queue, sum(c.pending)::bigint AS pending, sum(c.processing)::bigint AS processing,
                 sum(c.completed)::bigint AS completed, sum(c.failed)::bigint AS failed,
                 sum(c.cancelled)::bigint AS cancelled, sum(c.ever_completed)::bigint AS ever_completed,
                 sum(c.ever_failed)::bigint AS ever_failed, sum(c.ever_cancelled)::bigint AS ever_cancelled
          FROM public.job_counts c GROUP BY c.queue) s;
END $$;

-- get_queue_stats: one row for all queues; the age is NULL when nothing is pending. Columns and their order are those
-- of the Node worker's function.
CREATE OR REPLACE FUNCTION public.get_queue_stats()
RETURNS TABLE (pending_count bigint, processing_count bigint, completed_count bigint, failed_count bigint,
               oldest_pending_age interval)
LANGUAGE sql STABLE SET search_path = ''
AS $$
    SELECT coalesce(sum(q.pending), 0)::bigint, coalesce(sum(q.processing), 0)::bigint,
           coalesce(sum(q.completed), 0)::bigint, coalesce(sum(q.failed), 0)::bigint, max(q.oldest_pending_age)
    FROM public.queue_counts() q
$$;
COMMENT ON FUNCTION public.get_queue_stats() IS 'Jobs by status, and the age of the oldest pending one';
