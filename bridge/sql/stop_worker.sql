-- stop_worker: see migrations/0005_workers.sql
SELECT public.stop_worker(%(worker)s)
