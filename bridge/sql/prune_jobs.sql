-- prune_jobs: see migrations/0010_statistics.sql
SELECT public.prune_jobs(%(age)s, %(limit)s) AS pruned
