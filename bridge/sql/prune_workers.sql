-- prune_workers: see migrations/0005_workers.sql
SELECT public.prune_workers(%(age)s)
