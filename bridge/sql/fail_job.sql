-- fail_job: see migrations/0006_original.sql
SELECT public.fail_job(%(id)s, %(error)s) AS will_retry
