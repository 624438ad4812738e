-- list_jobs: the latest jobs, newest first. Reads back from the end of the table's own order of insertion.
SELECT id, status, actor, queue, priority, retry_count, max_retries, created_at, completed_at, error_message
FROM public.coding_jobs
WHERE (%(status)s::text IS NULL OR status = %(status)s) AND (%(actor)s::text IS NULL OR actor = %(actor)s)
ORDER BY created_at DESC, seq DESC LIMIT %(limit)s
