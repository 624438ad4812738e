-- register_worker: see migrations/0005_workers.sql
SELECT public.register_worker(%(worker)s, %(name)s, %(slots)s, %(queues)s::text[], %(actor_options)s::jsonb,
                              %(version)s, %(lease)s)
