-- waiting_claims: see migrations/0004_failures.sql
SELECT job_id, fence, queue, actor, alone AS isolated, throughout AS isolated_until_end
FROM public.waiting_claims(%(age)s, %(limit)s)
