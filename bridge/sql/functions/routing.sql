-- Which queue an actor's jobs belong to.

-- keep_actor_queues: each actor's queue and attempts as a live worker announced them, one that listens to that queue
-- before one that does not, one that takes jobs before one that drains, the newest before the others. Actors that
-- nobody alive announces keep what they have. p_gone counts workers that are gone, too: they come last.
-- Rows are written in the order of actors, and only where they differ: workers that start at once wait for nobody.
CREATE OR REPLACE FUNCTION public.keep_actor_queues(p_gone boolean) RETURNS void
LANGUAGE sql SET search_path = ''
AS $$
    INSERT INTO public.actor_queues (actor, queue, max_retries)
    SELECT a.actor, a.queue, a.max_retries
    FROM (SELECT DISTINCT ON (o.key) o.key AS actor, o.value ->> 'queue' AS queue,
                 CASE WHEN jsonb_typeof(o.value -> 'max_retries') = 'number'
                      THEN least(greatest((o.value ->> 'max_retries')::numeric, 0), 2147483647)::integer END AS max_retries
          FROM (SELECT w.actor_options, w.queues, w.draining, w.is_live, max(w.started_at) AS started_at
                FROM (SELECT *, stopped_at IS NULL AND lease_expires_at > clock_timestamp() AS is_live FROM public.workers) w
                WHERE w.is_live OR p_gone
                GROUP BY 1, 2, 3, 4) w -- the same words of a whole fleet are read once
          CROSS JOIN LATERAL jsonb_each(w.actor_options) AS o
          -- No other name of a queue fits into a job: an INSERT would fail by it.
          WHERE o.value ->> 'queue' ~ '^[A-Za-z_][A-Za-z0-9._-]*$' AND length(o.value ->> 'queue') <= 200
          ORDER BY o.key, w.is_live DESC, (o.value ->> 'queue') = ANY (w.queues) DESC, w.draining, w.started_at DESC, 2) a
    WHERE NOT EXISTS (SELECT FROM public.actor_queues k WHERE k.actor = a.actor AND k.queue = a.queue
                        AND k.max_retries IS NOT DISTINCT FROM a.max_retries)
    ORDER BY a.actor
    ON CONFLICT (actor) DO UPDATE SET queue = excluded.queue, max_retries = excluded.max_retries
$$;

-- route_jobs: moves pending jobs that wait in a queue where no live worker can run them to the queue where
-- one can, the most urgent of each queue first, and tells which actors nobody alive knows. From the default queue it
-- also moves what a worker there could run, where others serve its actor's own queue: not all that listen to the
-- default queue need know the actor, and an INSERT would not have left it there. Looks at p_limit jobs of either kind
-- at the most. A row that somebody holds, or that cannot be changed (refusals.sql), waits for the next look; the
-- caller's setting mobvibe.skip names those to leave out of that. Index: jobs_ready.
CREATE OR REPLACE FUNCTION public.route_jobs(p_limit integer)
RETURNS TABLE (actor text, queue text, jobs bigint, routed_to text)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    skip uuid[] := nullif(current_setting('mobvibe.skip', true), '')::uuid[];
    known text[];
BEGIN
    PERFORM public.keep_actor_queues(false);
    SELECT coalesce(array_agg(a.actor), '{}') INTO known FROM public.actor_queues a
    WHERE EXISTS (SELECT FROM public.workers w WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment
                    AND a.queue = ANY (w.queues) AND a.actor = ANY (w.actors));
    RETURN QUERY
    WITH RECURSIVE queues (queue) AS (
        (SELECT j.queue FROM public.coding_jobs j WHERE j.status = 'pending' AND j.due ORDER BY j.queue LIMIT 1)
        UNION ALL
        SELECT (SELECT j.queue FROM public.coding_jobs j
                WHERE j.status = 'pending' AND j.due AND j.queue > q.queue ORDER BY j.queue LIMIT 1)
        FROM queues q WHERE q.queue IS NOT NULL
    ), ready AS MATERIALIZED (
        SELECT q.queue, ARRAY(SELECT DISTINCT a.actor FROM public.workers w CROSS JOIN LATERAL unnest(w.actors) AS a (actor)
                              WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment AND q.queue = ANY (w.queues)
                                AND NOT (q.queue = 'coding' AND a.actor = ANY (known) AND EXISTS (
                                    SELECT FROM public.actor_queues k WHERE k.actor = a.actor AND k.queue <> 'coding'))) AS served
        FROM queues q WHERE q.queue IS NOT NULL
    ), stuck AS MATERIALIZED (
        SELECT c.id, l.queue FROM ready l CROSS JOIN LATERAL (
            SELECT j.id FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.due AND j.queue = l.queue AND j.actor <> ALL (l.served) AND j.actor = ANY (known)
              AND j.id NOT IN (SELECT unnest(skip))
            ORDER BY j.priority DESC, j.seq LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED) c
        LIMIT p_limit
    ), routed AS MATERIALIZED (
        SELECT m.actor, s.queue, m.queue AS routed_to
        FROM public.route_each(ARRAY(SELECT t.id FROM stuck t)) m JOIN stuck s ON s.id = m.job_id
    ), waiting AS MATERIALIZED (
        SELECT c.actor, l.queue FROM ready l CROSS JOIN LATERAL (
            SELECT j.actor FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.due AND j.queue = l.queue AND j.actor <> ALL (l.served) AND j.actor <> ALL (known)
            ORDER BY j.priority DESC, j.seq LIMIT p_limit) c
        LIMIT p_limit
    )
    SELECT r.actor, r.queue, count(*), r.routed_to FROM routed r GROUP BY 1, 2, 4
    UNION ALL
    SELECT w.actor, w.queue, count(*), NULL FROM waiting w GROUP BY 1, 2;
END $$;
