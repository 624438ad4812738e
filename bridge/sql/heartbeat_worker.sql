-- heartbeat_worker: see migrations/0005_workers.sql
SELECT verdict, job_id, exec, fence
FROM public.heartbeat_worker(%(worker)s, %(lease)s, %(draining)s, %(ids)s::uuid[], %(execs)s::uuid[])
