-- Attempts: reports, and what has become of them.

-- name: complete_jobs
-- The usual answer, all were accepted, is NULL.
SELECT CASE WHEN count(c.job_id) < cardinality(%(ids)s::uuid[]) THEN coalesce(array_agg(c.job_id), '{}') END AS accepted
FROM public.complete_jobs(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[], %(results)s::text[]::jsonb[]) AS c (job_id)

-- name: recorded_attempts
-- Which of these runs the ledger has an ending for, written by themselves: a report whose
-- answer was lost on the way is then no surprise. Index: primary key.
SELECT a.job_id, a.exec, j.status
FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[]) AS r (id, fence, exec)
JOIN public.job_attempts a ON a.job_id = r.id AND a.fence = r.fence AND a.exec = r.exec
JOIN public.coding_jobs j ON j.id = a.job_id
WHERE a.outcome IN ('completed', 'failed', 'released', 'cancelled')

-- name: still_held
-- Which of these runs are in work still. A report that was not accepted, of a run that is: something kept the
-- row from changing. Index: primary key.
SELECT j.exec
FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[]) AS r (id, fence, exec)
JOIN public.coding_jobs j ON j.id = r.id AND j.fence = r.fence AND j.exec = r.exec
WHERE j.status || '' = 'processing'
