-- claim_next_job: see migrations/0006_original.sql
SELECT job_id, session_id, prompt, priority FROM public.claim_next_job()
