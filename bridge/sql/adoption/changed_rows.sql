-- changed_rows: the rows of an old coding_jobs that a migration would change, and what order they had.
SELECT count(*) FILTER (WHERE j.status IN ('pending', 'processing') OR j.status IS NULL) AS waiting,
       count(*) FILTER (WHERE j.priority IS NULL AND (j.status IN ('pending', 'processing') OR j.status IS NULL)) AS without_priority,
       count(*) FILTER (WHERE j.status IS NULL OR j.priority IS NULL OR j.created_at IS NULL OR j.updated_at IS NULL
           OR j.retry_count IS NULL OR j.retry_count NOT BETWEEN 0 AND 1000000000 OR j.max_retries IS NULL OR j.max_retries < 0
           OR least(j.created_at, j.updated_at, j.started_at, j.completed_at) < '0001-01-02 00:00:00+00'
           OR greatest(j.created_at, j.updated_at, j.started_at, j.completed_at) > '9999-12-30 00:00:00+00') AS repaired
FROM public.coding_jobs j
