-- Attempts: reports, and whether they were accepted.

-- name: complete_jobs
-- NULL is the usual answer: all were accepted.
SELECT CASE WHEN count(c.job_id) < cardinality(%(ids)s::uuid[]) THEN coalesce(array_agg(c.job_id), '{}') END AS accepted
FROM public.complete_jobs(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[], %(results)s::text[]::jsonb[]) AS c (job_id)

-- name: recorded_attempts
-- Which of these runs have reported their end, as the ledger says: the report was accepted, and only its answer was
-- lost. Index: primary key.
SELECT a.job_id, a.exec, j.status
FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[]) AS r (id, fence, exec)
JOIN public.job_attempts a ON a.job_id = r.id AND a.fence = r.fence AND a.exec = r.exec
JOIN public.coding_jobs j ON j.id = a.job_id
WHERE a.outcome IN ('completed', 'failed', 'released', 'cancelled')

-- name: still_held
-- Which of these runs are still the latest attempt of their job, and in processing. If the report of such a run was
-- not accepted, something kept its row from changing. Index: primary key.
SELECT j.exec
FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[]) AS r (id, fence, exec)
JOIN public.coding_jobs j ON j.id = r.id AND j.fence = r.fence AND j.exec = r.exec
WHERE j.status || '' = 'processing'
