-- Calls that leave out jobs whose rows Postgres refused to change a moment ago. A setting names them, for this
-- statement only. It must be set before the function is called: so an argument of the call depends on it. `alone` and
-- `throughout`: see functions/suspects.sql.

-- name: claim_suspects
SELECT c.job_id, c.fence, c.queue, c.actor, c.priority, c.alone AS isolated, c.throughout AS isolated_until_end
FROM (SELECT set_config('mobvibe.skip', %(skip)s::uuid[]::text, true) AS skip) s
CROSS JOIN LATERAL public.claim_suspects(%(bridge)s, %(lease)s, CASE WHEN s.skip IS NOT NULL THEN %(limit)s::integer END) c

-- name: reclaim_jobs
SELECT t.job_id, t.outcome, t.status
FROM (SELECT set_config('mobvibe.skip', %(skip)s::uuid[]::text, true) AS skip) s
CROSS JOIN LATERAL public.reclaim_jobs(CASE WHEN s.skip IS NOT NULL THEN %(limit)s::integer END, %(grace)s) t

-- name: route_jobs
SELECT r.actor, r.queue, r.jobs, r.routed_to
FROM (SELECT set_config('mobvibe.skip', %(skip)s::uuid[]::text, true) AS skip) s
CROSS JOIN LATERAL public.route_jobs(CASE WHEN s.skip IS NOT NULL THEN %(limit)s::integer END) r
