-- Rows that Postgres will not change: they break a constraint that a host added as NOT VALID, or a host's trigger says no.
-- Where many rows at once do not get through, each is tried by itself, for two seconds in all. What is not the row's
-- own doing (a deadlock, a lock, lack of resources, a shutdown) ends the call, as everywhere.

-- claim_each: hands over the given jobs, which the caller has locked. Says of each whether it was, or why not (`refusal`).
CREATE OR REPLACE FUNCTION public.claim_each(p_bridge text, p_lease interval, p_ids uuid[])
RETURNS TABLE (job_id uuid, refusal text)
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    batch uuid[];
BEGIN
    IF p_ids IS NULL THEN
        RETURN;
    END IF;
    -- A constraint that waits for the commit would fail where no row can be told from another.
    SET CONSTRAINTS ALL IMMEDIATE;
    FOR turn IN 0 .. cardinality(p_ids) LOOP  -- all of them, then one by one
        EXIT WHEN clock_timestamp() - this_moment > interval '2 s';
        batch := CASE WHEN turn = 0 THEN p_ids ELSE p_ids[turn:turn] END;
        BEGIN
            UPDATE public.coding_jobs j
            SET status = 'processing', fence = j.fence + 1, exec = NULL, worker = NULL, started_at = NULL,
                claimed_at = this_moment, claimed_by = p_bridge, lease_expires_at = this_moment + p_lease,
                cancel_requested_at = NULL, updated_at = this_moment
            FROM unnest(batch) AS r (id) WHERE j.id = r.id;
            RETURN QUERY SELECT r.id, NULL::text FROM unnest(batch) AS r (id);
            EXIT WHEN turn = 0;
        EXCEPTION WHEN OTHERS THEN
            IF left(SQLSTATE, 2) IN ('40', '53', '55', '57', '58', 'XX') THEN
                RAISE;
            END IF;
            IF turn > 0 THEN
                RETURN QUERY SELECT p_ids[turn], SQLERRM;
            END IF;
        END;
    END LOOP;
END $$;

-- promote_each: the same for promote_due_jobs. Only what was refused is returned.
CREATE OR REPLACE FUNCTION public.promote_each(p_ids uuid[]) RETURNS TABLE (job_id uuid, refusal text)
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
BEGIN
    IF cardinality(p_ids) = 0 THEN
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;
    FOR turn IN 0 .. cardinality(p_ids) LOOP
        EXIT WHEN clock_timestamp() - this_moment > interval '2 s';
        BEGIN
            PERFORM public.promote_jobs(CASE WHEN turn = 0 THEN p_ids ELSE p_ids[turn:turn] END);
            EXIT WHEN turn = 0;
        EXCEPTION WHEN OTHERS THEN
            IF left(SQLSTATE, 2) IN ('40', '53', '55', '57', '58', 'XX') THEN
                RAISE;
            END IF;
            IF turn > 0 THEN
                RETURN QUERY SELECT p_ids[turn], SQLERRM;
            END IF;
        END;
    END LOOP;
END $$;

-- claim_jobs_apart: claim_jobs (claim.sql) while there are such rows. It leaves out p_skip, and of the others those that are
-- refused come back with the reason (`refusal`), unchanged. Indexes: jobs_ready, jobs_scheduled.
CREATE OR REPLACE FUNCTION public.claim_jobs_apart(
    p_bridge text, p_limit integer, p_lease interval,
    p_queues text[], p_rooms integer[], p_lows integer[], p_highs integer[], p_afters bigint[], p_skip uuid[])
RETURNS TABLE (job_id uuid, fence bigint, queue text, actor text, priority integer, seq bigint, refusal text)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    ids uuid[];
    refusals text[];
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    ids := ARRAY(SELECT s.id FROM public.coding_jobs s
                 WHERE s.status = 'pending' AND NOT s.due AND s.run_at <= this_moment AND s.id <> ALL (p_skip)
                 ORDER BY s.run_at LIMIT 1000 FOR UPDATE SKIP LOCKED);
    RETURN QUERY
    SELECT j.id, j.fence, j.queue, j.actor, j.priority, j.seq, e.refusal
    FROM public.promote_each(ids) e JOIN public.coding_jobs j ON j.id = e.job_id;

    WITH lane AS MATERIALIZED (
        SELECT q.queue, array_agg(DISTINCT a.actor) AS actors
        FROM public.workers w CROSS JOIN LATERAL unnest(w.queues) AS q (queue) CROSS JOIN LATERAL unnest(w.actors) AS a (actor)
        WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment AND NOT w.draining AND q.queue = ANY (p_queues)
        GROUP BY q.queue
    ), found AS MATERIALIZED (
        SELECT c.id, c.priority, c.seq, span.room,
               row_number() OVER (PARTITION BY lane.queue ORDER BY c.priority DESC, c.seq) AS place
        FROM unnest(p_queues, p_rooms, p_lows, p_highs, p_afters) AS span (queue, room, low, high, after)
        JOIN lane ON lane.queue = span.queue
        CROSS JOIN LATERAL (
            SELECT j.id, j.priority, j.seq FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.due AND j.queue = span.queue
              AND j.priority BETWEEN span.low AND span.high AND j.seq > span.after
              AND j.actor = ANY (lane.actors) AND (j.run_at IS NULL OR j.run_at <= this_moment) AND j.crashes = 0
              AND j.id <> ALL (p_skip)
            ORDER BY j.priority DESC, j.seq
            LIMIT least(greatest(span.room, 0), p_limit)
            FOR UPDATE SKIP LOCKED
        ) c
    ), next AS MATERIALIZED (
        SELECT f.id FROM found f WHERE f.place <= f.room ORDER BY f.priority DESC, f.seq LIMIT p_limit
    )
    SELECT array_agg(n.id) INTO ids FROM next n;

    SELECT array_agg(e.job_id), array_agg(e.refusal) INTO ids, refusals FROM public.claim_each(p_bridge, p_lease, ids) e;
    RETURN QUERY  -- a statement of its own: only so it sees the new fences
    SELECT j.id, j.fence, j.queue, j.actor, j.priority, j.seq, e.refusal
    FROM unnest(ids, refusals) AS e (id, refusal) JOIN public.coding_jobs j ON j.id = e.id
    ORDER BY j.priority DESC, j.seq;
END $$;

-- route_each: moves the given jobs, which route_jobs has locked, to their actors' queues; those that were moved.
CREATE OR REPLACE FUNCTION public.route_each(p_ids uuid[]) RETURNS TABLE (job_id uuid, actor text, queue text)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    batch uuid[];
BEGIN
    IF cardinality(p_ids) = 0 THEN
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;
    FOR turn IN 0 .. cardinality(p_ids) LOOP
        EXIT WHEN clock_timestamp() - this_moment > interval '2 s';
        batch := CASE WHEN turn = 0 THEN p_ids ELSE p_ids[turn:turn] END;
        BEGIN
            UPDATE public.coding_jobs j SET queue = a.queue, updated_at = this_moment
            FROM unnest(batch) AS s (id) CROSS JOIN public.actor_queues a WHERE j.id = s.id AND a.actor = j.actor;
            RETURN QUERY SELECT j.id, j.actor, j.queue FROM unnest(batch) AS s (id) JOIN public.coding_jobs j ON j.id = s.id;
            EXIT WHEN turn = 0;
        EXCEPTION WHEN OTHERS THEN
            IF left(SQLSTATE, 2) IN ('40', '53', '55', '57', '58', 'XX') THEN
                RAISE;
            END IF;
            IF turn > 0 THEN
                RAISE WARNING 'mobvibe: job % cannot be moved to another queue now: %', p_ids[turn], SQLERRM;
            END IF;
        END;
    END LOOP;
END $$;
