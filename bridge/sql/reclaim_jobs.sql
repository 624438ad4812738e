-- reclaim_jobs: see migrations/0004_failures.sql
SELECT job_id, outcome, status FROM public.reclaim_jobs(%(limit)s, %(grace)s)
