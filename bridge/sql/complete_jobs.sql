-- complete_jobs: see migrations/0003_road.sql
SELECT job_id
FROM public.complete_jobs(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[], %(results)s::text[]::jsonb[]) AS c (job_id)
