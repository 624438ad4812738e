-- cancelled_count: what get_queue_stats(), whose columns are fixed, leaves out.
SELECT count(*) AS cancelled FROM public.coding_jobs WHERE status = 'cancelled'
