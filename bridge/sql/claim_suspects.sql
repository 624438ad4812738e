-- claim_suspects: see migrations/0004_failures.sql
SELECT job_id, fence, queue, actor, alone AS isolated, throughout AS isolated_until_end
FROM public.claim_suspects(%(bridge)s, %(lease)s, %(line)s)
