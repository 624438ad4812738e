-- claim_jobs: see migrations/0003_road.sql
SELECT job_id, fence, queue, actor
FROM public.claim_jobs(%(bridge)s, %(limit)s, %(lease)s, %(room)s::jsonb)
