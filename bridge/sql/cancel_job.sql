-- cancel_job: see migrations/0007_operators.sql
SELECT public.cancel_job(%(id)s, coalesce(%(by)s, current_user), %(reason)s) AS status
