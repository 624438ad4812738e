-- enqueue: one job, in whatever transaction the caller has open. Where the caller does not say the queue and
-- the retries, route_new_job (migrations/0009_triggers.sql) gives the actor's own.
INSERT INTO public.coding_jobs (actor, queue, payload, session_id, prompt, priority, run_at, max_retries, claimed_by)
VALUES (%(actor)s, coalesce(%(queue)s::text, 'coding'), %(payload)s::text::jsonb, %(session_id)s, %(prompt)s, %(priority)s,
        %(run_at)s, coalesce(%(max_retries)s::integer, 3),
        CASE WHEN coalesce(%(queue)s::text, 'coding') = 'coding' AND %(max_retries)s::integer = 3 THEN 'enqueue' END)
RETURNING id
