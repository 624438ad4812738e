-- send: one job under the id of its message. Nothing comes back where that id is there already.
INSERT INTO public.coding_jobs (id, actor, queue, payload, priority, run_at, max_retries, claimed_by)
VALUES (%(id)s, %(actor)s, %(queue)s, %(payload)s::text::jsonb, %(priority)s,
        CASE WHEN %(delay)s::interval > interval '0' THEN now() + %(delay)s::interval END, coalesce(%(max_retries)s::integer, 3),
        CASE WHEN %(queue)s::text = 'coding' AND %(max_retries)s::integer = 3 THEN 'enqueue' END)
ON CONFLICT (id) DO NOTHING
RETURNING id
