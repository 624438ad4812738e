-- Worker processes: they announce what they can run, and one heartbeat a process keeps all its jobs.

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

CREATE OR REPLACE FUNCTION public.register_worker(
    p_worker uuid, p_name text, p_slots integer, p_queues text[], p_actor_options jsonb, p_version text, p_lease interval)
RETURNS void
LANGUAGE sql SET search_path = ''
AS $$
    INSERT INTO public.workers (id, name, slots, queues, actors, actor_options, version, lease_expires_at)
    VALUES (p_worker, p_name, p_slots, p_queues, ARRAY(SELECT jsonb_object_keys(p_actor_options) ORDER BY 1),
            p_actor_options, p_version, clock_timestamp() + p_lease)
    ON CONFLICT (id) DO UPDATE SET slots = excluded.slots, queues = excluded.queues, actors = excluded.actors, actor_options = excluded.actor_options;
    SELECT public.keep_actor_queues(false)
$$;

-- heartbeat_worker: renews the worker's lease and tells what of p_jobs/p_execs, which it holds, it must let go.
-- A draining worker lives, and is given nothing more.
--   refused    the worker was declared lost: everything it holds belongs to others (the only row then)
--   lost       this attempt is over in the database: taken over, deleted, settled by hand
--   cancelled  an operator wants this job stopped
--   stray      the database thinks this worker runs it, and has for longer than a lease: it never got the word
CREATE OR REPLACE FUNCTION public.heartbeat_worker(p_worker uuid, p_lease interval, p_draining boolean, p_jobs uuid[], p_execs uuid[])
RETURNS TABLE (verdict text, job_id uuid, exec uuid, fence bigint)
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    UPDATE public.workers w SET lease_expires_at = this_moment + p_lease, heartbeat_at = this_moment,
        draining = p_draining
    WHERE w.id = p_worker AND w.stopped_at IS NULL;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'refused', NULL::uuid, NULL::uuid, NULL::bigint;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT CASE WHEN j.id IS NULL THEN 'lost' ELSE 'cancelled' END, h.job, h.exec, j.fence
    FROM unnest(p_jobs, p_execs) AS h (job, exec)
    LEFT JOIN public.coding_jobs j ON j.id = h.job AND j.status || '' = 'processing' AND j.exec = h.exec
    WHERE j.id IS NULL OR j.cancel_requested_at IS NOT NULL
    UNION ALL
    SELECT 'stray', j.id, j.exec, j.fence FROM public.coding_jobs j
    WHERE j.status = 'processing' AND j.worker = p_worker AND j.exec IS NOT NULL AND j.exec <> ALL (p_execs)
      AND j.started_at < this_moment - p_lease;
END $$;

-- worker_key: the session lock by which others see that a worker's link to this server stands.
CREATE OR REPLACE FUNCTION public.worker_key(p_worker uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = ''
AS $$ SELECT hashtextextended(p_worker::text, 0) $$;

-- hold_worker_link: the worker shows its life by a lock that this session holds and that its end sets free, and
-- hears on its own channel of jobs to be cancelled. Called on every new link. p_pid is this server's process as
-- the worker's driver knows it: behind a pooler that is another one, a session is nobody's own, and the lease
-- alone decides. False when the link is not watched; on a direct one an earlier session still holds the lock.
-- p_patience is what the worker may need to be back on a new link, where that is long.
DROP FUNCTION IF EXISTS public.hold_worker_link(uuid, integer);
CREATE OR REPLACE FUNCTION public.hold_worker_link(p_worker uuid, p_pid integer, p_patience interval) RETURNS boolean
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    held boolean := false;
BEGIN
    IF p_pid = pg_backend_pid() THEN
        PERFORM pg_advisory_unlock_all();  -- of an earlier id, or of a call that failed half-way
        held := pg_try_advisory_lock(public.worker_key(p_worker));
        UNLISTEN *;
        EXECUTE format('LISTEN %I', 'mobvibe_' || p_worker);
    END IF;
    UPDATE public.workers w SET linked = held, link_lost_at = NULL, link_patience = p_patience
    WHERE w.id = p_worker AND w.stopped_at IS NULL;
    RETURN held;
END $$;

-- watch_links: a worker whose lock has been seen free for p_confirm, or for as long as the worker asked for where that
-- is longer, is declared lost, whatever its lease says.
-- Its process has ended, or would have taken the lock again: it does at once when only its link broke.
-- Returns how many are seen without their lock and not yet declared lost: look again soon.
CREATE OR REPLACE FUNCTION public.watch_links(p_confirm interval) RETURNS integer
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    held bigint[];
    without integer;
BEGIN
    IF NOT EXISTS (SELECT FROM public.workers w WHERE w.linked AND w.stopped_at IS NULL) THEN
        RETURN 0;
    END IF;
    SELECT coalesce(array_agg(l.classid::bigint << 32 | l.objid::bigint), '{}') INTO held
    FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database());
    -- A row that somebody holds waits for the next look: it must not hold up what is known of the others.
    UPDATE public.workers w
    SET link_lost_at = CASE WHEN w.link_lost_at IS NULL THEN this_moment END
    FROM (SELECT o.id FROM public.workers o
          WHERE o.linked AND o.stopped_at IS NULL
            AND (o.link_lost_at IS NULL) <> (public.worker_key(o.id) = ANY (held))
          FOR NO KEY UPDATE SKIP LOCKED) changed
    WHERE w.id = changed.id;
    UPDATE public.workers w SET stopped_at = this_moment, stop_reason = 'lost'
    FROM (SELECT o.id FROM public.workers o
          WHERE o.stopped_at IS NULL AND o.link_lost_at <= this_moment - greatest(p_confirm, o.link_patience)
          FOR NO KEY UPDATE SKIP LOCKED) gone
    WHERE w.id = gone.id;
    SELECT count(*) INTO without FROM public.workers w WHERE w.stopped_at IS NULL AND w.link_lost_at IS NOT NULL;
    RETURN without;
END $$;

CREATE OR REPLACE FUNCTION public.stop_worker(p_worker uuid) RETURNS void
LANGUAGE sql SET search_path = ''
AS $$
    UPDATE public.workers SET stopped_at = clock_timestamp(), stop_reason = 'stopped'
    WHERE id = p_worker AND stopped_at IS NULL;
    SELECT public.keep_actor_queues(false)
$$;

-- prune_workers: forgets processes that ended long ago.
CREATE OR REPLACE FUNCTION public.prune_workers(p_age interval) RETURNS void
LANGUAGE sql SET search_path = ''
AS $$ DELETE FROM public.workers WHERE stopped_at < clock_timestamp() - p_age $$;

-- route_jobs: moves pending jobs that wait in a queue where no live worker can run them to the queue where
-- one can, the most urgent of each queue first, and tells which actors nobody alive knows. From the default queue it
-- also moves what a worker there could run, where others serve its actor's own queue: not all that listen to the
-- default queue need know the actor, and an INSERT would not have left it there. Looks at p_limit jobs of either kind
-- at the most. A row that somebody holds, or that cannot be changed (0011), waits for the next look; the caller's
-- setting mobvibe.skip names those to leave out of that. Index: jobs_ready.
CREATE OR REPLACE FUNCTION public.route_jobs(p_limit integer)
RETURNS TABLE (actor text, queue text, jobs bigint, routed_to text)
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    skip uuid[] := coalesce(nullif(current_setting('mobvibe.skip', true), ''), '{}')::uuid[];
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
    ), lanes AS MATERIALIZED (
        SELECT q.queue, ARRAY(SELECT DISTINCT a.actor FROM public.workers w CROSS JOIN LATERAL unnest(w.actors) AS a (actor)
                              WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment AND q.queue = ANY (w.queues)
                                AND NOT (q.queue = 'coding' AND a.actor = ANY (known) AND EXISTS (
                                    SELECT FROM public.actor_queues k WHERE k.actor = a.actor AND k.queue <> 'coding'))) AS served
        FROM queues q WHERE q.queue IS NOT NULL
    ), stuck AS MATERIALIZED (
        SELECT c.id, l.queue FROM lanes l CROSS JOIN LATERAL (
            SELECT j.id FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.due AND j.queue = l.queue AND j.actor <> ALL (l.served) AND j.actor = ANY (known)
              AND j.id NOT IN (SELECT unnest(skip))
            ORDER BY j.priority DESC, j.seq LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED) c
        LIMIT p_limit
    ), routed AS MATERIALIZED (
        SELECT m.actor, s.queue, m.queue AS routed_to
        FROM public.route_each(ARRAY(SELECT t.id FROM stuck t)) m JOIN stuck s ON s.id = m.job_id
    ), waiting AS MATERIALIZED (
        SELECT c.actor, l.queue FROM lanes l CROSS JOIN LATERAL (
            SELECT j.actor FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.due AND j.queue = l.queue AND j.actor <> ALL (l.served) AND j.actor <> ALL (known)
            ORDER BY j.priority DESC, j.seq LIMIT p_limit) c
        LIMIT p_limit
    )
    SELECT r.actor, r.queue, count(*), r.routed_to FROM routed r GROUP BY 1, 2, 4
    UNION ALL
    SELECT w.actor, w.queue, count(*), NULL FROM waiting w GROUP BY 1, 2;
END $$;

-- What workers announced before the table was there.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM public.actor_queues) THEN
        PERFORM public.keep_actor_queues(true);
    END IF;
END $$;

DO $do$ BEGIN PERFORM public.mobvibe_close_rights(); END $do$;
