-- next_due: seconds until the next waiting job is due; NULL when none waits. Index: jobs_scheduled.
SELECT extract(epoch FROM run_at - clock_timestamp())::float8 AS seconds
FROM public.coding_jobs WHERE status = 'pending' AND NOT due ORDER BY run_at LIMIT 1
