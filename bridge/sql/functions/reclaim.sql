-- Reclaim: how attempts end that nobody reports, because their worker was lost, or their message on its way to one.

-- reclaim_jobs: ends up to p_limit attempts that nobody will report. A worker whose lease has run out is declared
-- lost, and the jobs it had started have crashed. A job is due at once after its first crash, and after each one that
-- another job caused; else it waits, longer with each crash. A hand-over that no worker started in time is released: it
-- never ran, so it spends no retry. A job that was claimed with claim_next_job() or by hand counts as run.
-- For p_grace after Postgres itself started, no worker is declared lost: no heartbeat could have come through. A row
-- is locked from the moment it is chosen until it has changed. One caller at a time; a second one gets no row.
-- One row must not hold up the others. If all together cannot be changed (a lock on a host's row, a host's trigger
-- that refuses), each is tried by itself (refusals.sql), for two seconds in all, and a warning names those that fail.
-- The caller's setting mobvibe.skip names those to leave out. Index: jobs_processing.
CREATE OR REPLACE FUNCTION public.reclaim_jobs(p_limit integer, p_grace interval)
RETURNS TABLE (job_id uuid, outcome text, status text)
LANGUAGE plpgsql SET search_path = ''
    SET lock_timeout = '200ms'
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    skip uuid[] := nullif(current_setting('mobvibe.skip', true), '')::uuid[];
    ids uuid[]; fences bigint[]; outcomes text[]; errors text[]; delays interval[];
    taken uuid[]; taken_outcomes text[]; statuses text[];
    start integer; stop integer; until timestamptz; context text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('mobvibe.reclaim')) THEN
        RETURN;
    END IF;
    IF this_moment - pg_postmaster_start_time() > p_grace THEN
        UPDATE public.workers w SET stopped_at = this_moment, stop_reason = 'lost'
        FROM (SELECT o.id FROM public.workers o
              WHERE o.stopped_at IS NULL AND o.lease_expires_at < this_moment
              FOR NO KEY UPDATE SKIP LOCKED) silent
        WHERE w.id = silent.id;
    END IF;

    SELECT array_agg(s.id), array_agg(s.fence), array_agg(s.outcome), array_agg(s.error),
           array_agg(CASE WHEN s.outcome <> 'crashed' THEN NULL
                          WHEN s.crashes = 0 OR s.ended_by <> s.id THEN interval '0'
                          ELSE public.retry_delay(s.crashes - 1) END)
    INTO ids, fences, outcomes, errors, delays
    FROM (SELECT j.id, j.fence, j.crashes,
              (SELECT w.ended_by FROM public.workers w WHERE w.id = j.worker) AS ended_by,
              CASE WHEN j.exec IS NOT NULL THEN 'crashed'
                   WHEN public.is_bridge(j.claimed_by) THEN 'released'
                   ELSE 'reclaimed' END AS outcome,
              CASE WHEN j.exec IS NOT NULL
                   THEN 'crashed: worker ' || coalesce((SELECT w.name FROM public.workers w WHERE w.id = j.worker), j.worker::text)
                        || ' was lost while it ran this job'
                   ELSE 'reclaimed: nothing was heard of this job until its lease ran out' END AS error
          FROM public.coding_jobs j
          WHERE j.status = 'processing'
            AND CASE WHEN j.exec IS NULL
                     THEN coalesce(j.lease_expires_at, j.updated_at + public.unwatched_lease()) < this_moment
                     -- A job that was started after this moment may be in a worker that this statement cannot see
                     -- yet.
                     ELSE (j.started_at >= this_moment) IS NOT TRUE
                          AND NOT EXISTS (SELECT FROM public.workers w WHERE w.id = j.worker AND w.stopped_at IS NULL) END
            AND j.id NOT IN (SELECT unnest(skip))
          -- In random order: rows that cannot be changed must not come first each time, and use up p_limit.
          ORDER BY random() LIMIT p_limit
          FOR UPDATE OF j SKIP LOCKED) s;

    IF ids IS NULL THEN
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;  -- a constraint that is checked at the commit would undo all rows
    FOR turn IN 0 .. cardinality(ids) LOOP  -- all of them, then one by one
        EXIT WHEN clock_timestamp() > until;
        start := greatest(turn, 1);
        stop := CASE WHEN turn = 0 THEN cardinality(ids) ELSE turn END;
        BEGIN
            SELECT array_agg(t.job_id), array_agg(t.outcome), array_agg(t.status) INTO taken, taken_outcomes, statuses
            FROM public.take_back(ids[start:stop], fences[start:stop], outcomes[start:stop], errors[start:stop],
                                  delays[start:stop]) t;
            PERFORM public.check_changed(cardinality(taken), ids[start:stop]);
            RETURN QUERY SELECT t.id, t.outcome, t.status FROM unnest(taken, taken_outcomes, statuses) AS t (id, outcome, status);
            EXIT WHEN turn = 0;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
            -- A lock or a deadlock may concern one row only: it must not hold up the others.
            IF SQLSTATE NOT IN ('40001', '40P01', '55P03') AND NOT public.is_of_a_row(SQLSTATE, context, 'reclaim_jobs') THEN
                RAISE;
            END IF;
            IF turn = 0 THEN
                until := clock_timestamp() + interval '2 s';
            ELSE
                RAISE WARNING 'mobvibe: job % cannot be taken back now: %', ids[turn], SQLERRM;
            END IF;
        END;
    END LOOP;
END $$;

-- take_back: ends the given attempts for reclaim_jobs, which has locked their rows. Returns those that ended. Index:
-- primary key.
CREATE OR REPLACE FUNCTION public.take_back(
    p_ids uuid[], p_fences bigint[], p_outcomes text[], p_errors text[], p_delays interval[])
RETURNS TABLE (job_id uuid, outcome text, status text)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    ids uuid[]; outcomes text[]; errors text[]; delays interval[];
    back uuid[]; back_fences bigint[];
BEGIN
    SELECT array_agg(r.id) FILTER (WHERE r.outcome <> 'released'),
           array_agg(r.outcome) FILTER (WHERE r.outcome <> 'released'),
           array_agg(r.error) FILTER (WHERE r.outcome <> 'released'),
           array_agg(r.delay) FILTER (WHERE r.outcome <> 'released'),
           array_agg(r.id) FILTER (WHERE r.outcome = 'released'),
           array_agg(r.fence) FILTER (WHERE r.outcome = 'released')
    INTO ids, outcomes, errors, delays, back, back_fences
    FROM unnest(p_ids, p_fences, p_outcomes, p_errors, p_delays) AS r (id, fence, outcome, error, delay);
    IF ids IS NOT NULL THEN
        RETURN QUERY
        SELECT e.job_id, e.outcome, e.status
        FROM public.end_failed_attempts(ids, outcomes, errors, array_fill(false, ARRAY[cardinality(ids)]), delays) e
        WHERE e.status <> 'processing';
    END IF;
    IF back IS NOT NULL THEN
        back := ARRAY(SELECT public.release_jobs(back, back_fences, '{}', '{}', 'no worker started it in time'));
        RETURN QUERY
        SELECT j.id, 'released', j.status FROM unnest(back) AS r (id) JOIN public.coding_jobs j ON j.id = r.id
        WHERE j.status <> 'processing';
    END IF;
END $$;

-- unwatched_lease: how long a job may go without a report when its holder sends no heartbeats, such as the Node
-- worker. To change it: ALTER DATABASE … SET mobvibe.unwatched_lease = '2 hours'.
CREATE OR REPLACE FUNCTION public.unwatched_lease() RETURNS interval
LANGUAGE sql STABLE SET search_path = ''
AS $$ SELECT coalesce(nullif(current_setting('mobvibe.unwatched_lease', true), ''), '1 hour')::interval $$;
