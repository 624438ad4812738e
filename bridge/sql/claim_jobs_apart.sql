-- claim_jobs_apart: see migrations/0011_refusals.sql
SELECT job_id, fence, queue, actor, priority, seq, refusal
FROM public.claim_jobs_apart(%(bridge)s, %(limit)s, %(lease)s, %(queues)s::text[], %(rooms)s::integer[], %(lows)s::integer[],
                             %(highs)s::integer[], %(afters)s::bigint[], %(skip)s::uuid[])
