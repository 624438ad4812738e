-- waiting_claims: see migrations/0004_failures.sql
SELECT job_id, fence, queue, actor, alone, throughout FROM public.waiting_claims(%(age)s, %(limit)s)
