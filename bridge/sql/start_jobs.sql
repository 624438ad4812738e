-- start_jobs: see migrations/0003_road.sql
SELECT position, session_id, prompt, payload, priority, attempt, is_last, queue, actor
FROM public.start_jobs(%(worker)s, %(ids)s::uuid[], %(fences)s::bigint[], %(execs)s::uuid[])
