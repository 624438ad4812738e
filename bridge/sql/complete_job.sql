-- complete_job: see migrations/0006_original.sql
SELECT public.complete_job(%(id)s)
