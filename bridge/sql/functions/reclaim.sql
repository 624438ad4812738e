-- How attempts end that nobody reports: by loss of their worker, or by loss on the way to it.

-- reclaim_jobs: takes back what went silent. A worker whose lease ran out is declared lost, and what it had
-- started has crashed. A hand-over that no worker started in time is released: it never ran, so it spends no
-- retry. What crashed for the first time need not wait: it runs alone next. What claim_next_job() handed out counts as run. Selection and change see the same locked rows.
-- For p_grace after Postgres itself came up nobody is declared lost: no heartbeat could have come through.
-- One caller at a time; a second one finds nothing to do. No job holds up the others: where all of them at
-- once do not get through (a row of the host's that somebody holds, a trigger that refuses), each is tried
-- by itself, for two seconds in all, and what fails is said to the caller and in the server's log, and tried again with the next sweep.
-- Index: jobs_processing.
CREATE OR REPLACE FUNCTION public.reclaim_jobs(p_limit integer, p_grace interval)
RETURNS TABLE (job_id uuid, outcome text, status text)
LANGUAGE plpgsql SET search_path = ''
    SET lock_timeout = '200ms'
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    ids uuid[]; outcomes text[]; errors text[]; delays interval[];
    back uuid[]; back_fences bigint[];
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

    SELECT array_agg(s.id) FILTER (WHERE s.outcome <> 'released'),
           array_agg(s.outcome) FILTER (WHERE s.outcome <> 'released'),
           array_agg(s.error) FILTER (WHERE s.outcome <> 'released'),
           array_agg(CASE WHEN s.outcome = 'crashed' AND s.crashes = 0 THEN interval '0' END)
               FILTER (WHERE s.outcome <> 'released'),
           array_agg(s.id) FILTER (WHERE s.outcome = 'released'),
           array_agg(s.fence) FILTER (WHERE s.outcome = 'released')
    INTO ids, outcomes, errors, delays, back, back_fences
    FROM (SELECT j.id, j.fence, j.crashes,
              CASE WHEN j.exec IS NOT NULL THEN 'crashed'
                   WHEN j.claimed_by <> 'claim_next_job' THEN 'released'
                   ELSE 'reclaimed' END AS outcome,
              CASE WHEN j.exec IS NOT NULL
                   THEN 'crashed: worker ' || coalesce((SELECT w.name FROM public.workers w WHERE w.id = j.worker), j.worker::text)
                        || ' was lost while it ran this job'
                   ELSE 'reclaimed: nothing was heard of this job until its lease ran out' END AS error
          FROM public.coding_jobs j
          WHERE j.status = 'processing'
            AND CASE WHEN j.exec IS NULL
                     THEN coalesce(j.lease_expires_at, j.updated_at + public.unwatched_lease()) < this_moment
                     -- What was started since may be in a worker that registered since: it is not to be seen here.
                     ELSE (j.started_at >= this_moment) IS NOT TRUE
                          AND NOT EXISTS (SELECT FROM public.workers w WHERE w.id = j.worker AND w.stopped_at IS NULL) END
          -- In no fixed order: jobs that cannot be taken back must not stand before those that can.
          ORDER BY random() LIMIT p_limit
          FOR UPDATE OF j SKIP LOCKED) s;

    BEGIN
        RETURN QUERY SELECT e.job_id, e.outcome, e.status FROM public.end_failed_attempts(
            ids, outcomes, errors, array_fill(false, ARRAY[coalesce(cardinality(ids), 0)]), delays) e;
    EXCEPTION WHEN OTHERS THEN
        FOR i IN 1 .. coalesce(cardinality(ids), 0) LOOP
            EXIT WHEN clock_timestamp() - this_moment > interval '2 s';
            BEGIN
                RETURN QUERY SELECT e.job_id, e.outcome, e.status FROM public.end_failed_attempts(
                    ids[i:i], outcomes[i:i], errors[i:i], '{false}', delays[i:i]) e;
            EXCEPTION WHEN OTHERS THEN
                RAISE WARNING 'mobvibe: job % cannot be taken back now: %', ids[i], SQLERRM;
            END;
        END LOOP;
    END;
    BEGIN
        RETURN QUERY SELECT r.id, 'released', 'pending' FROM public.release_jobs(
            back, back_fences, '{}', '{}', 'no worker started it in time') AS r (id);
    EXCEPTION WHEN OTHERS THEN
        FOR i IN 1 .. coalesce(cardinality(back), 0) LOOP
            EXIT WHEN clock_timestamp() - this_moment > interval '4 s';
            BEGIN
                RETURN QUERY SELECT r.id, 'released', 'pending' FROM public.release_jobs(
                    back[i:i], back_fences[i:i], '{}', '{}', 'no worker started it in time') AS r (id);
            EXCEPTION WHEN OTHERS THEN
                RAISE WARNING 'mobvibe: job % cannot be taken back now: %', back[i], SQLERRM;
            END;
        END LOOP;
    END;
END $$;

-- unwatched_lease: how long a holder may be silent that sends no heartbeats, such as the Node worker.
-- Change it with: ALTER DATABASE … SET mobvibe.unwatched_lease = '2 hours'.
CREATE OR REPLACE FUNCTION public.unwatched_lease() RETURNS interval
LANGUAGE sql STABLE SET search_path = ''
AS $$ SELECT coalesce(nullif(current_setting('mobvibe.unwatched_lease', true), ''), '1 hour')::interval $$;
