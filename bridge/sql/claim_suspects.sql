-- claim_suspects: see migrations/0004_failures.sql. The setting holds for this statement alone, and comes first.
SELECT c.job_id, c.fence, c.queue, c.actor, c.alone, c.throughout
FROM (SELECT set_config('mobvibe.skip', %(skip)s::uuid[]::text, true) AS skip) s
CROSS JOIN LATERAL public.claim_suspects(%(bridge)s, %(lease)s, CASE WHEN s.skip IS NOT NULL THEN %(line)s END) c
