-- Rows that Postgres refuses to change: they break a constraint that a host added as NOT VALID, or a host's trigger
-- or rule raises an error or suppresses the change. If many rows cannot be changed together, each is tried by itself,
-- for two seconds in all.
-- An error that is not one row's own (a lock, missing rights, lack of resources, a shutdown) ends the call, as
-- anywhere else.

-- is_of_a_row: whether an error may concern one row only. Any error that comes out of a host's code may, such as its
-- trigger's. p_context is the context of the error, and is read up to the frame of p_caller: what called that has no
-- part in it. A server that speaks another language keeps the words that are matched here.
CREATE OR REPLACE FUNCTION public.is_of_a_row(p_state text, p_context text, p_caller text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = ''
AS $$
    SELECT left(p_state, 2) NOT IN ('0A', '25', '26', '40', '42', '53', '55', '57', '58', 'XX')
        OR regexp_replace(split_part(p_context, p_caller || '(', 1),
               'PL/pgSQL[^\n]*\y(guard_job|keep_due|begin_manual_attempt|notify_job_status_change|count_changed_jobs|count_no_jobs'
               '|promote_jobs|take_back|end_failed_attempts|release_jobs|settle_sessions|update_sessions|postpone_event_number'
               '|number_events|take_event_numbers|cancel_jobs|retry_jobs|replay_jobs|route_new_job|count_new_jobs|notify_new_job)\(', '', 'g') ~ 'PL/(?!pgSQL)|PL/pgSQL[^\n]*\('
$$;

-- check_at_once: has a table's deferred constraints checked with each statement, or at the commit again. For
-- transactions that may be the caller's; in one of our own, use SET CONSTRAINTS ALL IMMEDIATE.
CREATE OR REPLACE FUNCTION public.check_at_once(p_table regclass, p_at_once boolean) RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    waiting text;
BEGIN
    SELECT string_agg(format('%I.%I', n.nspname, c.conname), ', ') INTO waiting
    FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
    WHERE c.conrelid = p_table AND c.condeferred;
    IF waiting IS NOT NULL THEN
        PERFORM pg_catalog.set_config('search_path', 'public', true); -- of the host's triggers, as in update_sessions
        EXECUTE format('SET CONSTRAINTS %s %s', waiting, CASE WHEN p_at_once THEN 'IMMEDIATE' ELSE 'DEFERRED' END);
    END IF;
END $$;

-- check_changed: raises an error if fewer rows were changed than given: a trigger or rule suppressed a change.
CREATE OR REPLACE FUNCTION public.check_changed(p_changed bigint, p_ids uuid[]) RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    IF coalesce(p_changed, 0) < cardinality(p_ids) THEN
        RAISE 'the update of its row was suppressed: see the triggers and rules of coding_jobs';
    END IF;
END $$;

-- change_each: changes the given jobs, which the caller has locked. 'claim' claims them, 'promote' calls promote_jobs
-- (claim.sql), 'route' moves them to their actors' queues. Returns each job that was changed, and each that was
-- refused, with the reason (`refusal`); jobs for which no time was left are not returned.
-- A deferred constraint would fail at the commit, where rows cannot be told apart: the caller must make it immediate.
-- Index: primary key.
CREATE OR REPLACE FUNCTION public.change_each(p_change text, p_ids uuid[], p_bridge text, p_lease interval)
RETURNS TABLE (job_id uuid, refusal text)
LANGUAGE plpgsql SET search_path = ''
    SET lock_timeout = '500ms'
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    most integer := coalesce(cardinality(p_ids), 0);
    batch uuid[];
    changed bigint;
    context text;
    until timestamptz;
BEGIN
    FOR turn IN 0 .. most LOOP  -- all of them, then one by one
        EXIT WHEN most = 0 OR clock_timestamp() > until;
        batch := CASE WHEN turn = 0 THEN p_ids ELSE p_ids[turn:turn] END;
        BEGIN
            IF p_change = 'claim' THEN
                WITH claimed AS (
                    UPDATE public.coding_jobs j
                    SET status = 'processing', fence = j.fence + 1, exec = NULL, worker = NULL, started_at = NULL,
                        claimed_at = this_moment, claimed_by = p_bridge, lease_expires_at = this_moment + p_lease,
                        cancel_requested_at = NULL, retries_from_actor = false, updated_at = this_moment,
                        max_retries = CASE WHEN j.retries_from_actor AND j.max_retries = 3
                            THEN coalesce((SELECT a.max_retries FROM public.actor_queues a WHERE a.actor = j.actor), 3)
                            ELSE j.max_retries END
                    FROM unnest(batch) AS r (id) WHERE j.id = r.id
                    RETURNING j.status
                )
                SELECT count(*) INTO changed FROM claimed c WHERE c.status = 'processing';
            ELSIF p_change = 'promote' THEN
                changed := public.promote_jobs(batch);
            ELSE
                WITH routed AS (
                    UPDATE public.coding_jobs j SET queue = a.queue, updated_at = this_moment
                    FROM unnest(batch) AS r (id) CROSS JOIN public.actor_queues a WHERE j.id = r.id AND a.actor = j.actor
                    RETURNING j.queue = a.queue AS is_there
                )
                SELECT count(*) INTO changed FROM routed m WHERE m.is_there;
            END IF;
            PERFORM public.check_changed(changed, batch);
            RETURN QUERY SELECT r.id, NULL::text FROM unnest(batch) AS r (id);
            EXIT WHEN turn = 0;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
            IF NOT public.is_of_a_row(SQLSTATE, context, 'change_each') THEN
                RAISE;
            END IF;
            IF turn = 0 THEN
                until := clock_timestamp() + interval '2 s';
            ELSE
                RETURN QUERY SELECT p_ids[turn], SQLERRM;
            END IF;
        END;
    END LOOP;
END $$;

-- claim_jobs_apart: claim_jobs (claim.sql), for use while there are such rows. Leaves out p_skip. A row that is
-- refused is returned with the reason (`refusal`), and is unchanged. Indexes: jobs_ready, jobs_scheduled.
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
    SET CONSTRAINTS ALL IMMEDIATE;
    ids := ARRAY(SELECT s.id FROM public.coding_jobs s
                 WHERE s.status = 'pending' AND NOT s.due AND s.run_at <= this_moment AND s.id NOT IN (SELECT unnest(p_skip))
                 ORDER BY s.run_at LIMIT 1000 FOR UPDATE SKIP LOCKED);
    RETURN QUERY
    SELECT j.id, j.fence, j.queue, j.actor, j.priority, j.seq, e.refusal
    FROM public.change_each('promote', ids, NULL, NULL) e JOIN public.coding_jobs j ON j.id = e.job_id
    WHERE e.refusal IS NOT NULL;

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
              AND j.id NOT IN (SELECT unnest(p_skip))
            ORDER BY j.priority DESC, j.seq
            LIMIT least(greatest(span.room, 0), p_limit)
            FOR UPDATE SKIP LOCKED
        ) c
    ), next AS MATERIALIZED (
        SELECT f.id FROM found f WHERE f.rank <= f.room ORDER BY f.priority DESC, f.seq LIMIT p_limit
    )
    SELECT array_agg(n.id) INTO ids FROM next n;

    SELECT array_agg(e.job_id), array_agg(e.refusal) INTO ids, refusals
    FROM public.change_each('claim', ids, p_bridge, p_lease) e;
    RETURN QUERY  -- a separate statement: the one above would not see the new fences
    SELECT j.id, j.fence, j.queue, j.actor, j.priority, j.seq, e.refusal
    FROM unnest(ids, refusals) AS e (id, refusal) JOIN public.coding_jobs j ON j.id = e.id
    ORDER BY j.priority DESC, j.seq;
END $$;

-- route_each: moves the given jobs, which route_jobs has locked, to their actors' queues. Returns those that were
-- moved.
CREATE OR REPLACE FUNCTION public.route_each(p_ids uuid[]) RETURNS TABLE (job_id uuid, actor text, queue text)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    moved uuid[];
    one record;
BEGIN
    IF cardinality(p_ids) = 0 THEN
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;
    FOR one IN SELECT e.job_id AS id, e.refusal FROM public.change_each('route', p_ids, NULL, NULL) e LOOP
        IF one.refusal IS NULL THEN
            moved := moved || one.id;
        ELSE
            RAISE WARNING 'mobvibe: job % cannot be moved to another queue now: %', one.id, one.refusal;
        END IF;
    END LOOP;
    RETURN QUERY SELECT j.id, j.actor, j.queue FROM unnest(moved) AS m (id) JOIN public.coding_jobs j ON j.id = m.id;
END $$;
