-- retry_job: see migrations/0007_operators.sql
SELECT public.retry_job(%(id)s, coalesce(%(by)s, current_user), %(reason)s) AS status
