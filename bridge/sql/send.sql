-- send: one job under the id of its message. Nothing comes back where that id is there already. 3 attempts as in enqueue.
INSERT INTO public.coding_jobs (id, actor, queue, payload, priority, run_at, max_retries)
VALUES (%(id)s, %(actor)s, %(queue)s, %(payload)s::text::jsonb, %(priority)s,
        CASE WHEN %(delay)s::interval > interval '0' THEN now() + %(delay)s::interval END,
        CASE WHEN %(queue)s::text = 'coding' AND %(max_retries)s::integer = 3
             THEN CASE WHEN set_config('mobvibe.three_attempts', statement_timestamp()::text, true) <> '' THEN 3 END
             ELSE coalesce(%(max_retries)s::integer, 3) END)
ON CONFLICT (id) DO NOTHING
RETURNING id
