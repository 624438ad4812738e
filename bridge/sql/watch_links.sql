-- watch_links: see migrations/0005_workers.sql
SELECT public.watch_links(%(confirm)s) AS without
