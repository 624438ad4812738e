-- recorded_attempts: which of these runs the ledger has an ending for, written by themselves: a report whose
-- answer was lost on the way is then no surprise. Index: primary key.
SELECT a.job_id, a.exec, j.status
FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[]) AS r (id, fence, exec)
JOIN public.job_attempts a ON a.job_id = r.id AND a.fence = r.fence AND a.exec = r.exec
JOIN public.coding_jobs j ON j.id = a.job_id
WHERE a.outcome IN ('completed', 'failed', 'released', 'cancelled')
