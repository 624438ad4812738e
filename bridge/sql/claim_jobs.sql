-- claim_jobs: see migrations/0003_road.sql
SELECT job_id, fence, queue, actor, priority, seq
FROM public.claim_jobs(%(bridge)s, %(limit)s, %(lease)s, %(queues)s::text[], %(rooms)s::integer[], %(lows)s::integer[],
                       %(highs)s::integer[], %(afters)s::bigint[])
