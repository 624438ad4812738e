-- still_held: which of these runs are in work still. A report that was not accepted, of a run that is: something kept the
-- row from changing. Index: primary key.
SELECT j.exec
FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[]) AS r (id, fence, exec)
JOIN public.coding_jobs j ON j.id = r.id AND j.fence = r.fence AND j.exec = r.exec
WHERE j.status || '' = 'processing'
