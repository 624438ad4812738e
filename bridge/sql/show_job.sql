-- show_job: one job, every column. Index: primary key.
SELECT id, status, actor, queue, priority, session_id, prompt, payload, result, error_message, retry_count, max_retries,
       run_at, created_at, claimed_at, started_at, completed_at, updated_at, fence, exec, worker, claimed_by,
       cancel_requested_at, to_jsonb(j) -> 'releases' AS releases
FROM public.coding_jobs j WHERE id = %(id)s
