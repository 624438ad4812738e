-- fail_jobs: see migrations/0004_failures.sql
SELECT job_id, status
FROM public.fail_jobs(%(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[], %(errors)s::text[],
                      %(finals)s::boolean[], %(delays)s::interval[])
