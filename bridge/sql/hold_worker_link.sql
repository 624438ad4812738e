-- hold_worker_link: see migrations/0005_workers.sql
SELECT public.hold_worker_link(%(worker)s, %(pid)s, %(patience)s) AS held
