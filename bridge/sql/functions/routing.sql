-- Routing: which queue an actor's jobs belong to.

-- keep_actor_queues: stores each actor's queue and attempts as live workers announced them. Where these differ, a
-- worker that listens to the queue comes before one that does not, then one that takes jobs before one that drains,
-- then the newest. An actor that no live worker announces keeps what it has. p_gone: workers that are gone count too,
-- as the last ones.
-- Rows are written in the order of actors, and only if they change: so workers that start together do not wait for
-- each other.
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
                GROUP BY 1, 2, 3, 4) w -- workers with the same options are read once
          CROSS JOIN LATERAL jsonb_each(w.actor_options) AS o
          -- A job cannot have any other name of a queue: its INSERT would fail.
          WHERE o.value ->> 'queue' ~ '^[A-Za-z_][A-Za-z0-9._-]*$' AND length(o.value ->> 'queue') <= 200
          ORDER BY o.key, w.is_live DESC, (o.value ->> 'queue') = ANY (w.queues) DESC, w.draining, w.started_at DESC, 2) a
    WHERE NOT EXISTS (SELECT FROM public.actor_queues k WHERE k.actor = a.actor AND k.queue = a.queue
                        AND k.max_retries IS NOT DISTINCT FROM a.max_retries)
    ORDER BY a.actor
    ON CONFLICT (actor) DO UPDATE SET queue = excluded.queue, max_retries = excluded.max_retries
$$;

-- route_jobs: moves pending jobs from queues where no live worker can run them to the queue where one can, the most
-- urgent of each queue first, the default queue before the others. From the default queue it also moves a job that a
-- worker there could run, if its actor's own queue is served: a worker of the default queue need not know the actor,
-- and an INSERT would have chosen the other queue.
-- Returns what it moved, by actor and queue, and the actors that no live worker knows (routed_to is NULL); of each
-- queue it counts at most p_limit such jobs. It ends once it has moved p_limit jobs, and has then not looked at all
-- queues. A row that is locked or cannot be changed (refusals.sql) waits for the next call; the caller's setting
-- mobvibe.skip names those to leave out. Paused queues are not looked at: elsewhere their jobs would run.
-- The commit need not wait for the disk: what a crash of the server undoes is moved again. Index: jobs_ready.
CREATE OR REPLACE FUNCTION public.route_jobs(p_limit integer)
RETURNS TABLE (actor text, queue text, jobs bigint, routed_to text)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    skip uuid[] := nullif(current_setting('mobvibe.skip', true), '')::uuid[];
    room integer := p_limit;
    known text[];
    served text[];
    place text;
    moved record;
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    PERFORM public.keep_actor_queues(false);
    SELECT coalesce(array_agg(a.actor), '{}') INTO known FROM public.actor_queues a
    WHERE EXISTS (SELECT FROM public.workers w WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment
                    AND a.queue = ANY (w.queues) AND a.actor = ANY (w.actors));
    FOR place IN
        WITH RECURSIVE queues (queue) AS (
            (SELECT j.queue FROM public.coding_jobs j WHERE j.status = 'pending' AND j.due ORDER BY j.queue LIMIT 1)
            UNION ALL
            SELECT (SELECT j.queue FROM public.coding_jobs j
                    WHERE j.status = 'pending' AND j.due AND j.queue > q.queue ORDER BY j.queue LIMIT 1)
            FROM queues q WHERE q.queue IS NOT NULL
        )
        SELECT q.queue FROM queues q
        WHERE q.queue IS NOT NULL AND q.queue <> ALL (ARRAY(SELECT p.queue FROM public.queue_pauses p))
        ORDER BY q.queue <> 'coding', q.queue
    LOOP
        served := ARRAY(SELECT DISTINCT a.actor FROM public.workers w CROSS JOIN LATERAL unnest(w.actors) AS a (actor)
                        WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment AND place = ANY (w.queues)
                          AND NOT (place = 'coding' AND a.actor = ANY (known) AND EXISTS (
                              SELECT FROM public.actor_queues k WHERE k.actor = a.actor AND k.queue <> 'coding')));
        -- In most queues there is nothing to move or to report: then they are read once, not twice.
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.due AND j.queue = place AND j.actor <> ALL (served));
        FOR moved IN
            SELECT m.actor, m.queue, count(*) AS jobs
            FROM public.route_each(ARRAY(
                SELECT j.id FROM public.coding_jobs j
                WHERE j.status = 'pending' AND j.due AND j.queue = place AND j.actor <> ALL (served)
                  AND j.actor = ANY (known) AND j.id NOT IN (SELECT unnest(skip))
                ORDER BY j.priority DESC, j.seq LIMIT room FOR NO KEY UPDATE SKIP LOCKED)) m
            GROUP BY m.actor, m.queue
        LOOP
            room := room - moved.jobs;
            RETURN QUERY SELECT moved.actor, place, moved.jobs, moved.queue;
        END LOOP;
        EXIT WHEN room = 0; -- what follows would pass over all that is still to be moved
        RETURN QUERY
        SELECT w.actor, place, count(*), NULL
        FROM (SELECT j.actor FROM public.coding_jobs j
              WHERE j.status = 'pending' AND j.due AND j.queue = place AND j.actor <> ALL (served) AND j.actor <> ALL (known)
              ORDER BY j.priority DESC, j.seq LIMIT p_limit) w
        GROUP BY w.actor;
    END LOOP;
END $$;
