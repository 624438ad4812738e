-- fold_job_counts: see migrations/0010_statistics.sql
SELECT public.fold_job_counts(%(limit)s) AS folded
