-- route_jobs: see migrations/0005_workers.sql
SELECT actor, queue, jobs, routed_to FROM public.route_jobs(%(limit)s)
