-- prune_finished_jobs: see migrations/0010_statistics.sql
SELECT pruned, kept, kept_by, last_at, last_id, more
FROM public.prune_finished_jobs(%(age)s, %(limit)s, %(at)s, %(id)s)
