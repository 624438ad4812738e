-- release_jobs: see migrations/0003_road.sql
SELECT job_id
FROM public.release_jobs(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[], %(delays)s::interval[], %(error)s) AS r (job_id)
