-- History: what happened in each minute, see tables/0007_history.sql. A bridge records a minute when it has ended, and
-- twice more, because a transaction that began in it may commit later.

-- latency_bucket: the bucket of a latency. Ten buckets for each power of ten: bucket b ends at 10^(b/10) milliseconds, the
-- first at 1.3 ms; 81 is everything from 28 hours on. Equal for all queues and times, so that histograms can be added.
CREATE OR REPLACE FUNCTION public.latency_bucket(p_latency interval) RETURNS smallint
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN p_latency IS NOT NULL
            THEN width_bucket(log(greatest(1000 * date_part('epoch', p_latency), 1)), 0, 8, 80)::smallint END;

-- available_at: when a job could be claimed for its latest attempt; NULL where that is not known: it was handed back, or
-- an operator made it run again.
CREATE OR REPLACE FUNCTION public.available_at(
    p_fence bigint, p_releases integer, p_created_at timestamptz, p_run_at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN p_fence = 1 THEN greatest(p_created_at, p_run_at)
            WHEN p_releases = 0 THEN p_run_at END;

-- happened_since: what happened to jobs and attempts from p_since on, counted by queue, minute, kind, and for latencies
-- by bucket. A job counts as it is now: what was deleted meanwhile is not counted, nor is a completion after which an
-- operator made the job run again.
-- Reads what ended or was inserted since then, and what is in processing. Indexes: jobs_ended, jobs_processing,
-- jobs_oldest, attempts_not_completed, primary keys.
CREATE OR REPLACE FUNCTION public.happened_since(p_since timestamptz)
RETURNS TABLE (queue text, at timestamptz, kind text, bucket smallint, times bigint)
LANGUAGE plpgsql STABLE SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    origin CONSTANT timestamptz := '2000-01-01 00:00:00+00';
BEGIN
    RETURN QUERY
    WITH jobs AS (
        SELECT j.queue, j.status, j.created_at, j.claimed_at, j.started_at, j.completed_at, j.run_at, j.fence, j.releases
        FROM public.coding_jobs j
        WHERE j.status IN ('completed', 'failed', 'cancelled') AND j.completed_at >= p_since
        UNION ALL
        SELECT j.queue, j.status, j.created_at, j.claimed_at, j.started_at, NULL, j.run_at, j.fence, j.releases
        FROM public.coding_jobs j WHERE j.status = 'processing'
        UNION ALL
        SELECT q.queue, 'pending', p.created_at, NULL, NULL, NULL, NULL, 0, 0
        FROM (SELECT DISTINCT c.queue FROM public.job_counts c) q CROSS JOIN LATERAL (
            SELECT j.created_at FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.queue = q.queue AND j.created_at >= p_since) p
    ), attempts AS (
        -- Those of jobs in processing, and those that completed a job. All others are in attempts_not_completed.
        SELECT s.queue, s.status, s.created_at, s.claimed_at, s.completed_at,
               CASE WHEN s.status IN ('processing', 'completed') THEN s.started_at END AS started_at,
               public.available_at(s.fence, s.releases, s.created_at, s.run_at) AS available_at
        FROM jobs s
    ), counted AS (
        -- One pass over all rows; what follows reads a row for each combination.
        SELECT m.queue, m.status, m.inserted, m.started, m.ended, m.claim, m.start, m.wait, m.run, count(*) AS times
        FROM (SELECT s.queue, s.status, date_bin('1 minute', s.created_at, origin) AS inserted,
                     date_bin('1 minute', s.started_at, origin) AS started, date_bin('1 minute', s.completed_at, origin) AS ended,
                     CASE WHEN s.started_at IS NOT NULL THEN public.latency_bucket(s.claimed_at - s.available_at) END AS claim,
                     public.latency_bucket(s.started_at - s.claimed_at) AS start,
                     public.latency_bucket(s.started_at - s.available_at) AS wait,
                     public.latency_bucket(s.completed_at - s.started_at) AS run
              FROM attempts s) m
        GROUP BY GROUPING SETS ((m.queue, m.status, m.inserted, m.started, m.ended), (m.queue, m.started, m.claim),
                                (m.queue, m.started, m.start), (m.queue, m.started, m.wait), (m.queue, m.ended, m.run))
    ), of_jobs AS (
        -- A column is NULL where the row does not count it.
        SELECT c.queue, e.at, e.kind, e.bucket, c.times
        FROM counted c CROSS JOIN LATERAL (VALUES
            ('inserted', c.inserted, NULL::smallint),
            ('started', CASE WHEN c.status IS NOT NULL THEN c.started END, NULL),
            (c.status, CASE WHEN c.status IS NOT NULL THEN c.ended END, NULL),
            ('claim', CASE WHEN c.claim IS NOT NULL THEN c.started END, c.claim),
            ('start', CASE WHEN c.start IS NOT NULL THEN c.started END, c.start),
            ('wait', CASE WHEN c.wait IS NOT NULL THEN c.started END, c.wait),
            ('run', CASE WHEN c.run IS NOT NULL THEN c.ended END, c.run)) AS e (kind, at, bucket)
    ), others AS (
        SELECT j.queue, a.outcome IN ('failed', 'crashed', 'reclaimed') AS has_failed, a.claimed_at, a.started_at, a.finished_at,
               j.status = 'failed' AND j.fence = a.fence AS is_last,
               CASE WHEN j.fence = a.fence AND j.status <> 'pending'
                    THEN public.available_at(j.fence, j.releases, j.created_at, j.run_at) END AS available_at,
               -- Those after it are all that the job counts now: an operator made it run again after this one.
               (SELECT count(*) = j.retry_count + (j.status = 'completed')::integer
                       AND count(*) FILTER (WHERE l.outcome = 'cancelled') = 0
                FROM public.job_attempts l
                WHERE l.job_id = a.job_id AND l.fence > a.fence AND l.outcome <> 'released') AS was_last
        FROM public.job_attempts a JOIN public.coding_jobs j ON j.id = a.job_id
        WHERE a.outcome <> 'completed' AND a.finished_at >= p_since
    ), of_attempts AS (
        SELECT o.queue, date_bin('1 minute', e.at, origin) AS at, e.kind, public.latency_bucket(e.latency) AS bucket, 1 AS times
        FROM others o CROSS JOIN LATERAL (VALUES
            ('started', o.started_at, NULL::interval),
            ('failed_attempts', CASE WHEN o.has_failed THEN o.finished_at END, NULL),
            ('retried', CASE WHEN o.has_failed AND NOT o.is_last AND NOT o.was_last THEN o.finished_at END, NULL),
            ('failed', CASE WHEN o.has_failed AND o.was_last THEN o.finished_at END, NULL),
            ('claim', o.started_at, o.claimed_at - o.available_at),
            ('start', o.started_at, o.started_at - o.claimed_at),
            ('wait', o.started_at, o.started_at - o.available_at),
            ('run', o.finished_at, o.finished_at - o.started_at)) AS e (kind, at, latency)
    )
    SELECT e.queue, e.at, e.kind, e.bucket, sum(e.times)::bigint
    FROM (SELECT * FROM of_jobs UNION ALL SELECT * FROM of_attempts) e
    WHERE e.at >= p_since
    GROUP BY 1, 2, 3, 4;
END $$;

-- record_history: records the minutes that have ended since the last call, and the two before again. Minutes in which no
-- bridge ran are recorded later, up to a day; in a database without a history, those of the last hour. Numbers only
-- grow: a job that was deleted or runs again has still ended. Returns how many minutes were new; 0 as well while another
-- bridge records.
CREATE OR REPLACE FUNCTION public.record_history() RETURNS integer
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    origin CONSTANT timestamptz := '2000-01-01 00:00:00+00';
    until timestamptz := date_bin('1 minute', clock_timestamp(), origin);
    since timestamptz;
    last timestamptz;  -- the latest minute that is recorded
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('mobvibe.record_history')) THEN
        RETURN 0;
    END IF;
    SELECT h.at INTO last FROM public.queue_history h WHERE h.seconds = 60 AND h.at < until
    ORDER BY h.at DESC LIMIT 1;
    IF last >= until - interval '1 minute' THEN
        RETURN 0;
    END IF;
    since := greatest(coalesce(last - interval '1 minute', until - interval '1 hour'), until - interval '1 day');
    WITH happened AS MATERIALIZED (
        SELECT e.queue, e.at, e.kind, e.bucket, e.times FROM public.happened_since(since) e WHERE e.at < until
    ), latencies AS (
        INSERT INTO public.latency_history AS h (seconds, at, queue, stage, bucket, attempts)
        SELECT 60, e.at, e.queue, e.kind, e.bucket, e.times FROM happened e WHERE e.bucket IS NOT NULL
        ON CONFLICT (seconds, at, queue, stage, bucket) DO UPDATE SET attempts = greatest(h.attempts, excluded.attempts)
    )
    INSERT INTO public.queue_history AS h (
        seconds, at, queue, inserted, started, completed, failed_attempts, retried, failed, cancelled, pending, processing)
    SELECT 60, s.at, s.queue,
           coalesce(sum(s.times) FILTER (WHERE s.kind = 'inserted'), 0),
           coalesce(sum(s.times) FILTER (WHERE s.kind = 'started'), 0),
           coalesce(sum(s.times) FILTER (WHERE s.kind = 'completed'), 0),
           coalesce(sum(s.times) FILTER (WHERE s.kind = 'failed_attempts'), 0),
           coalesce(sum(s.times) FILTER (WHERE s.kind = 'retried'), 0),
           coalesce(sum(s.times) FILTER (WHERE s.kind = 'failed'), 0),
           coalesce(sum(s.times) FILTER (WHERE s.kind = 'cancelled'), 0),
           max(s.pending), max(s.processing)
    FROM (SELECT e.at, e.queue, e.kind, e.times, NULL::bigint AS pending, NULL::bigint AS processing
          FROM happened e
          UNION ALL
          SELECT m.at, '', '', 0, CASE WHEN m.at = until - interval '1 minute' THEN 0 END,
                 CASE WHEN m.at = until - interval '1 minute' THEN 0 END
          FROM generate_series(since, until - interval '1 minute', interval '1 minute') AS m (at)
          UNION ALL
          SELECT until - interval '1 minute', c.queue, '', 0, sum(c.pending)::bigint, sum(c.processing)::bigint
          FROM public.job_counts c GROUP BY c.queue HAVING sum(c.pending) > 0 OR sum(c.processing) > 0) s
    GROUP BY s.at, s.queue
    ON CONFLICT (seconds, at, queue) DO UPDATE SET
        inserted = greatest(h.inserted, excluded.inserted), started = greatest(h.started, excluded.started),
        completed = greatest(h.completed, excluded.completed), retried = greatest(h.retried, excluded.retried),
        failed_attempts = greatest(h.failed_attempts, excluded.failed_attempts), failed = greatest(h.failed, excluded.failed),
        cancelled = greatest(h.cancelled, excluded.cancelled), pending = coalesce(h.pending, excluded.pending),
        processing = coalesce(h.processing, excluded.processing);
    PERFORM public.add_up_hours(date_bin('1 hour', since, origin));
    RETURN extract(epoch FROM until - coalesce(last + interval '1 minute', since))::integer / 60;
END $$;

-- add_up_hours: the hours from p_since on, from their minutes. Bridges add hand-overs to both themselves (queues.sql): the
-- rows of these are not locked here, so that nobody waits. Index: primary key.
CREATE OR REPLACE FUNCTION public.add_up_hours(p_since timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    origin CONSTANT timestamptz := '2000-01-01 00:00:00+00';
BEGIN
    INSERT INTO public.queue_history AS h (
        seconds, at, queue, inserted, started, completed, failed_attempts, retried, failed, cancelled, pending, processing)
    SELECT 3600, date_bin('1 hour', m.at, origin), m.queue, sum(m.inserted), sum(m.started), sum(m.completed),
           sum(m.failed_attempts), sum(m.retried), sum(m.failed), sum(m.cancelled), max(m.pending), max(m.processing)
    FROM public.queue_history m WHERE m.seconds = 60 AND m.at >= p_since
    GROUP BY 2, 3
    ON CONFLICT (seconds, at, queue) DO UPDATE SET
        inserted = greatest(h.inserted, excluded.inserted), started = greatest(h.started, excluded.started),
        completed = greatest(h.completed, excluded.completed), retried = greatest(h.retried, excluded.retried),
        failed_attempts = greatest(h.failed_attempts, excluded.failed_attempts), failed = greatest(h.failed, excluded.failed),
        cancelled = greatest(h.cancelled, excluded.cancelled), pending = greatest(h.pending, excluded.pending),
        processing = greatest(h.processing, excluded.processing);
    INSERT INTO public.latency_history AS h (seconds, at, queue, stage, bucket, attempts)
    SELECT 3600, date_bin('1 hour', m.at, origin), m.queue, m.stage, m.bucket, sum(m.attempts)
    FROM public.latency_history m WHERE m.seconds = 60 AND m.at >= p_since AND m.stage <> 'hand_over'
    GROUP BY 2, 3, 4, 5
    ON CONFLICT (seconds, at, queue, stage, bucket) DO UPDATE SET attempts = greatest(h.attempts, excluded.attempts);
END $$;

-- prune_history: deletes up to p_limit rows of each table that are older than a day (minutes) or thirty days (hours), the
-- oldest first. An hour must still find all its minutes: they stay for an hour longer. Returns how many were deleted.
-- Index: primary key.
CREATE OR REPLACE FUNCTION public.prune_history(p_limit integer) RETURNS integer
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    gone integer := 0;
    deleted integer;
    kept record;
BEGIN
    FOR kept IN SELECT * FROM (VALUES (60, interval '25 hours'), (3600, interval '30 days 1 hour')) AS k (seconds, age) LOOP
        DELETE FROM public.latency_history h WHERE h.ctid = ANY (ARRAY(
            SELECT o.ctid FROM public.latency_history o WHERE o.seconds = kept.seconds AND o.at < clock_timestamp() - kept.age
            ORDER BY o.at LIMIT p_limit FOR UPDATE SKIP LOCKED));
        GET DIAGNOSTICS deleted = ROW_COUNT;
        gone := gone + deleted;
        DELETE FROM public.queue_history h WHERE h.ctid = ANY (ARRAY(
            SELECT o.ctid FROM public.queue_history o WHERE o.seconds = kept.seconds AND o.at < clock_timestamp() - kept.age
            ORDER BY o.at LIMIT p_limit FOR UPDATE SKIP LOCKED));
        GET DIAGNOSTICS deleted = ROW_COUNT;
        gone := gone + deleted;
    END LOOP;
    RETURN gone;
END $$;
