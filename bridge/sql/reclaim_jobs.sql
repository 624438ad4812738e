-- reclaim_jobs: see migrations/0004_failures.sql. The setting holds for this statement alone, and comes first.
SELECT t.job_id, t.outcome, t.status
FROM (SELECT set_config('mobvibe.skip', %(skip)s::uuid[]::text, true) AS skip) s
CROSS JOIN LATERAL public.reclaim_jobs(CASE WHEN s.skip IS NOT NULL THEN %(limit)s END, %(grace)s) t
