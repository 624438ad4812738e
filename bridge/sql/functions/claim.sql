-- Claims: how a bridge takes pending jobs. What follows a claim is in start.sql, report.sql and reclaim.sql.
-- In all of them, functions take arrays and are fenced: a row changes only while the caller's attempt is the job's
-- latest one, and the rows that are returned are those that changed. Leases are compared with this database's clock
-- only.
-- planner_settings.sql keeps their plans as they are, and so does `status || ''`: where a look-up by id compares the
-- status itself, the planner may choose the index jobs_processing, and read all of it.

-- is_bridge: whether `claimed_by` names a bridge. A bridge's attempt answers to its fence alone, and leases and
-- heartbeats bound it. Any other was claimed with claim_next_job(), or by hand (NULL), and unwatched_lease() bounds
-- it.
-- A name says this, and not a boolean column: while an upgrade adds the column, a call of claim_next_job() may be
-- under way in its old body and write its row afterwards. The column would keep its default in that row, so that the
-- job would look like a bridge's: it would be handed over a second time while it runs, and its report would be
-- ignored.
-- Without SET and with an expression for a body, so that Postgres inlines it.
CREATE OR REPLACE FUNCTION public.is_bridge(p_claimed_by text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN p_claimed_by <> 'claim_next_job';

-- queue_room: for each queue that live workers serve: how many more jobs they could start (`room`), which is their
-- free slots less the jobs that were claimed for the queue and not started; all their slots; the queues that share
-- these workers; and the lowest priority among the jobs that were claimed and not started. `room` may be negative.
-- Index: jobs_processing.
DROP FUNCTION IF EXISTS public.queue_room();
CREATE OR REPLACE FUNCTION public.queue_room()
RETURNS TABLE (queue text, room integer, slots integer, shared_with text[], lowest integer)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH live AS MATERIALIZED (
        SELECT w.id, w.slots, w.queues FROM public.workers w
        WHERE w.stopped_at IS NULL AND w.lease_expires_at > clock_timestamp() AND NOT w.draining
    ), held AS MATERIALIZED (
        -- A job that was claimed with claim_next_job() or by hand takes no slot of these workers.
        SELECT j.queue, j.worker, j.exec IS NULL AS waiting, count(*)::integer AS jobs, min(j.priority) AS lowest
        FROM public.coding_jobs j
        WHERE j.status = 'processing' AND (j.exec IS NOT NULL OR public.is_bridge(j.claimed_by)) GROUP BY 1, 2, 3
    )
    SELECT q.queue,
        (sum(greatest(0, l.slots - coalesce((SELECT sum(h.jobs) FROM held h WHERE NOT h.waiting AND h.worker = l.id), 0)))
         - coalesce((SELECT sum(h.jobs) FROM held h WHERE h.waiting AND h.queue = q.queue), 0))::integer,
        sum(l.slots)::integer,
        (SELECT array_agg(DISTINCT o.queue) FROM live s CROSS JOIN LATERAL unnest(s.queues) AS o (queue)
         WHERE q.queue = ANY (s.queues)),
        (SELECT min(h.lowest) FROM held h WHERE h.waiting AND h.queue = q.queue)
    FROM live l CROSS JOIN LATERAL unnest(l.queues) AS q (queue)
    GROUP BY q.queue;
END $$;

-- claim_jobs: claims the most urgent due jobs that live workers can run: from each queue at most its room, and
-- p_limit in all. A span says where to search: in one queue, among priorities from low to high, behind the place
-- `after` in the order of age. One span can cover a whole queue; several can leave out stretches where only dead
-- index entries lie. Paused queues are left out. Suspects are left to claim_suspects (suspects.sql). A job that waited for its actor to be announced
-- gets the actor's attempts here.
-- Raises an error if a row cannot be changed: claim_jobs_apart (refusals.sql) then tells which one.
-- The commit need not wait for the disk: what a crash of the server undoes was not handed over, or cannot be started.
-- Index: jobs_ready.
DROP FUNCTION IF EXISTS public.claim_jobs(text, integer, interval, jsonb);
CREATE OR REPLACE FUNCTION public.claim_jobs(
    p_bridge text, p_limit integer, p_lease interval,
    p_queues text[], p_rooms integer[], p_lows integer[], p_highs integer[], p_afters bigint[])
RETURNS TABLE (job_id uuid, fence bigint, queue text, actor text, priority integer, seq bigint)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    ids uuid[];
    claimed bigint;
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    PERFORM public.promote_due_jobs(1000);
    WITH served AS MATERIALIZED (
        SELECT q.queue, array_agg(DISTINCT a.actor) AS actors
        FROM public.workers w CROSS JOIN LATERAL unnest(w.queues) AS q (queue) CROSS JOIN LATERAL unnest(w.actors) AS a (actor)
        WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment AND NOT w.draining AND q.queue = ANY (p_queues)
          AND q.queue <> ALL (ARRAY(SELECT p.queue FROM public.queue_pauses p))
        GROUP BY q.queue
    ), found AS MATERIALIZED (
        SELECT c.id, c.priority, c.seq, span.room,
               row_number() OVER (PARTITION BY served.queue ORDER BY c.priority DESC, c.seq) AS rank
        FROM unnest(p_queues, p_rooms, p_lows, p_highs, p_afters) AS span (queue, room, low, high, after)
        JOIN served ON served.queue = span.queue
        CROSS JOIN LATERAL (
            SELECT j.id, j.priority, j.seq FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.due AND j.queue = span.queue
              AND j.priority BETWEEN span.low AND span.high AND j.seq > span.after
              AND j.actor = ANY (served.actors) AND (j.run_at IS NULL OR j.run_at <= this_moment)
              AND public.isolated_until(j.crashes, j.retry_count, j.max_retries, this_moment) = '-infinity'
            ORDER BY j.priority DESC, j.seq
            LIMIT least(greatest(span.room, 0), p_limit)
            FOR UPDATE SKIP LOCKED
        ) c
    ), next AS MATERIALIZED (
        SELECT f.id FROM found f WHERE f.rank <= f.room ORDER BY f.priority DESC, f.seq LIMIT p_limit
    )
    SELECT array_agg(n.id) INTO ids FROM next n;
    IF ids IS NULL THEN
        RETURN; -- even an UPDATE of no rows fires the triggers of its table
    END IF;
    RETURN QUERY
    WITH claimed AS (
        UPDATE public.coding_jobs j
        SET status = 'processing', fence = j.fence + 1, exec = NULL, worker = NULL, started_at = NULL,
            claimed_at = this_moment, claimed_by = p_bridge, lease_expires_at = this_moment + p_lease,
            cancel_requested_at = NULL, retries_from_actor = false, updated_at = this_moment,
            max_retries = CASE WHEN j.retries_from_actor AND j.max_retries = 3
                THEN coalesce((SELECT a.max_retries FROM public.actor_queues a WHERE a.actor = j.actor), 3) ELSE j.max_retries END
        FROM unnest(ids) AS r (id) WHERE j.id = r.id
        RETURNING j.id, j.fence, j.queue, j.actor, j.priority, j.seq, j.status
    )
    SELECT c.id, c.fence, c.queue, c.actor, c.priority, c.seq FROM claimed c WHERE c.status = 'processing'
    ORDER BY c.priority DESC, c.seq;
    GET DIAGNOSTICS claimed = ROW_COUNT;
    PERFORM public.check_changed(claimed, ids);
END $$;

-- promote_due_jobs: makes up to p_limit waiting jobs ready, those whose time has come. Index: jobs_scheduled.
CREATE OR REPLACE FUNCTION public.promote_due_jobs(p_limit integer) RETURNS integer
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    -- Usually there are none, and even an UPDATE of no rows fires the triggers of its table.
    IF NOT EXISTS (SELECT FROM public.coding_jobs s
                   WHERE s.status = 'pending' AND NOT s.due AND s.run_at <= this_moment) THEN
        RETURN 0;
    END IF;
    RETURN public.promote_jobs(ARRAY(
        SELECT s.id FROM public.coding_jobs s
        WHERE s.status = 'pending' AND NOT s.due AND s.run_at <= this_moment
        ORDER BY s.run_at LIMIT p_limit FOR UPDATE SKIP LOCKED));
END $$;

-- promote_jobs: makes the given jobs ready, which the caller has locked. A job in the default queue moves to its
-- actor's own queue if a live worker serves that, before anybody can claim it: a worker of the default queue that
-- does not know the actor would hand it back, again and again. While the default queue is paused, it stays. Raises an error if a row stays as it was. Index:
-- primary key.
CREATE OR REPLACE FUNCTION public.promote_jobs(p_ids uuid[]) RETURNS integer
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    promoted integer;
BEGIN
    WITH promoted AS (
        UPDATE public.coding_jobs j
        SET due = true,
            queue = CASE WHEN j.queue = 'coding' AND 'coding' <> ALL (ARRAY(SELECT p.queue FROM public.queue_pauses p)) THEN coalesce(
                (SELECT a.queue FROM public.actor_queues a
                 WHERE a.actor = j.actor AND a.queue <> 'coding' AND EXISTS (
                     SELECT FROM public.workers w WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment
                         AND a.queue = ANY (w.queues) AND a.actor = ANY (w.actors))), j.queue) ELSE j.queue END
        FROM unnest(p_ids) AS d (id)
        WHERE j.id = d.id
        RETURNING j.due
    )
    SELECT count(*) INTO promoted FROM promoted p WHERE p.due;
    PERFORM public.check_changed(promoted, p_ids);
    RETURN promoted;
END $$;
