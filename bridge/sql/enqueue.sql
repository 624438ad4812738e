-- enqueue: one job, in whatever transaction the caller has open. Where the caller does not say the queue and
-- the retries, the actor's own count, as the last worker that announced the actor gave them.
INSERT INTO public.coding_jobs (actor, queue, payload, session_id, prompt, priority, run_at, max_retries)
SELECT %(actor)s::text,
       coalesce(%(queue)s::text, known.options ->> 'queue', 'coding'),
       %(payload)s::text::jsonb, %(session_id)s::uuid, %(prompt)s::text, %(priority)s::integer, %(run_at)s::timestamptz,
       coalesce(%(max_retries)s::integer, (known.options ->> 'max_retries')::integer, 3)
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT w.actor_options -> %(actor)s::text AS options FROM public.workers w
    WHERE %(actor)s::text = ANY (w.actors) ORDER BY w.started_at DESC LIMIT 1
) AS known ON true
RETURNING id
