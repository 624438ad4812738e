-- complete_jobs: see migrations/0003_road.sql. The usual answer, all were accepted, is NULL.
SELECT CASE WHEN count(c.job_id) < cardinality(%(ids)s::uuid[]) THEN coalesce(array_agg(c.job_id), '{}') END AS accepted
FROM public.complete_jobs(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[], %(results)s::text[]::jsonb[]) AS c (job_id)
