-- route_jobs: see migrations/0005_workers.sql. The setting holds for this statement alone, and comes first.
SELECT r.actor, r.queue, r.jobs, r.routed_to
FROM (SELECT set_config('mobvibe.skip', %(skip)s::uuid[]::text, true) AS skip) s
CROSS JOIN LATERAL public.route_jobs(CASE WHEN s.skip IS NOT NULL THEN %(limit)s END) r
