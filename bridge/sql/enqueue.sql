-- enqueue: one job, in whatever transaction the caller has open. Where the caller does not say the queue and
-- the retries, route_new_job (triggers/jobs.sql) gives the actor's own; it is told when 3 were said. By a
-- setting: the role may have rights on the documented columns only.
INSERT INTO public.coding_jobs (actor, queue, payload, session_id, prompt, priority, run_at, max_retries)
VALUES (%(actor)s, coalesce(%(queue)s::text, 'coding'), %(payload)s::text::jsonb, %(session_id)s, %(prompt)s, %(priority)s,
        %(run_at)s,
        CASE WHEN coalesce(%(queue)s::text, 'coding') = 'coding' AND %(max_retries)s::integer = 3
             THEN CASE WHEN set_config('mobvibe.three_attempts', statement_timestamp()::text, true) <> '' THEN 3 END
             ELSE coalesce(%(max_retries)s::integer, 3) END)
RETURNING id
