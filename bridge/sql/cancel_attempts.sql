-- cancel_attempts: see migrations/0004_failures.sql
SELECT job_id
FROM public.cancel_attempts(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[], %(errors)s::text[]) AS r (job_id)
