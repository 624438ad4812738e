-- How many jobs stand where, without counting them: every statement that changes jobs adds one row of differences
-- for each queue it touched, and the bridge folds those rows together. Nobody waits for anybody's count.

CREATE TABLE IF NOT EXISTS public.job_counts (
    queue text NOT NULL,
    pending bigint NOT NULL DEFAULT 0,
    processing bigint NOT NULL DEFAULT 0,
    completed bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    ever_completed bigint NOT NULL DEFAULT 0,
    ever_failed bigint NOT NULL DEFAULT 0,
    ever_cancelled bigint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
-- Rows without a key: where a publication has all tables, Postgres refuses to delete them else.
DO $do$ BEGIN
    IF (SELECT c.relreplident FROM pg_catalog.pg_class c WHERE c.oid = 'public.job_counts'::regclass) <> 'f' THEN
        ALTER TABLE public.job_counts REPLICA IDENTITY FULL;
    END IF;
END $do$;
COMMENT ON TABLE public.job_counts IS 'Differences to add up: use get_queue_stats(), or sum by queue';
COMMENT ON COLUMN public.job_counts.ever_completed IS 'Completions so far, those of jobs that were deleted or run again included';

-- The oldest pending job of a queue. Only inserts and retries write to it.
CREATE INDEX IF NOT EXISTS jobs_oldest ON public.coding_jobs (queue, created_at) WHERE status = 'pending';
-- Finished jobs by age, for retention and for lists of what ended last. One ended by hand may not say when.
CREATE INDEX IF NOT EXISTS jobs_ended ON public.coding_jobs (completed_at)
    WHERE status IN ('completed', 'failed', 'cancelled');
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indexrelid = to_regclass('public.jobs_finished')
               AND i.indrelid = 'public.coding_jobs'::regclass) THEN -- of the version before: only those that say when
        DROP INDEX public.jobs_finished;
    END IF;
END $$;
-- The few among them that a list is asked for by their status. A job that completes is not in it and writes nothing.
CREATE INDEX IF NOT EXISTS jobs_failed ON public.coding_jobs (status, completed_at)
    WHERE status IN ('failed', 'cancelled');

-- The table changes with every job; vacuum must come long before a fifth of millions of rows has changed.
ALTER TABLE public.coding_jobs SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
                                    autovacuum_analyze_scale_factor = 0.05);

-- With the owner's rights: who may insert a job need not be let near the counts.
CREATE OR REPLACE FUNCTION public.count_new_jobs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    INSERT INTO public.job_counts (queue, pending, processing, completed, failed, cancelled,
                                   ever_completed, ever_failed, ever_cancelled)
    SELECT s.queue, s.pending, s.processing, s.completed, s.failed, s.cancelled, s.completed, s.failed, s.cancelled
    FROM (SELECT c.queue, count(*) FILTER (WHERE c.status = 'pending') AS pending,
                 count(*) FILTER (WHERE c.status = 'processing') AS processing,
                 count(*) FILTER (WHERE c.status = 'completed') AS completed,
                 count(*) FILTER (WHERE c.status = 'failed') AS failed,
                 count(*) FILTER (WHERE c.status = 'cancelled') AS cancelled
          FROM created c GROUP BY c.queue) s;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION public.count_deleted_jobs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    INSERT INTO public.job_counts (queue, pending, processing, completed, failed, cancelled)
    SELECT d.queue, -count(*) FILTER (WHERE d.status = 'pending'), -count(*) FILTER (WHERE d.status = 'processing'),
           -count(*) FILTER (WHERE d.status = 'completed'), -count(*) FILTER (WHERE d.status = 'failed'),
           -count(*) FILTER (WHERE d.status = 'cancelled')
    FROM deleted d GROUP BY d.queue;
    RETURN NULL;
END $$;

-- Most statements take all their rows from one status to one other, or change none, as every start of jobs: only
-- where they did different things need the rows be grouped.
CREATE OR REPLACE FUNCTION public.count_changed_jobs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    jobs bigint;
    status_before text; status_after text;
    queue_before text; queue_after text;
    is_even boolean;
BEGIN
    SELECT count(*), min(o.status), min(o.queue), min(o.status) = max(o.status) AND min(o.queue) = max(o.queue)
    INTO jobs, status_before, queue_before, is_even FROM before_update o;
    IF jobs = 0 THEN
        RETURN NULL;
    END IF;
    IF is_even THEN
        SELECT min(n.status), min(n.queue), min(n.status) = max(n.status) AND min(n.queue) = max(n.queue)
        INTO status_after, queue_after, is_even FROM after_update n;
    END IF;
    IF is_even AND queue_before = queue_after THEN
        IF status_before <> status_after THEN
            INSERT INTO public.job_counts (queue, pending, processing, completed, failed, cancelled,
                                           ever_completed, ever_failed, ever_cancelled)
            VALUES (queue_after, jobs * ((status_after = 'pending')::integer - (status_before = 'pending')::integer),
                    jobs * ((status_after = 'processing')::integer - (status_before = 'processing')::integer),
                    jobs * ((status_after = 'completed')::integer - (status_before = 'completed')::integer),
                    jobs * ((status_after = 'failed')::integer - (status_before = 'failed')::integer),
                    jobs * ((status_after = 'cancelled')::integer - (status_before = 'cancelled')::integer),
                    jobs * (status_after = 'completed')::integer, jobs * (status_after = 'failed')::integer,
                    jobs * (status_after = 'cancelled')::integer);
        END IF;
        RETURN NULL;
    END IF;
    INSERT INTO public.job_counts (queue, pending, processing, completed, failed, cancelled,
                                   ever_completed, ever_failed, ever_cancelled)
    SELECT d.queue, d.pending, d.processing, d.completed, d.failed, d.cancelled,
           greatest(d.completed, 0), greatest(d.failed, 0), greatest(d.cancelled, 0)
    FROM (SELECT c.queue, coalesce(sum(c.jobs) FILTER (WHERE c.status = 'pending'), 0) AS pending,
                 coalesce(sum(c.jobs) FILTER (WHERE c.status = 'processing'), 0) AS processing,
                 coalesce(sum(c.jobs) FILTER (WHERE c.status = 'completed'), 0) AS completed,
                 coalesce(sum(c.jobs) FILTER (WHERE c.status = 'failed'), 0) AS failed,
                 coalesce(sum(c.jobs) FILTER (WHERE c.status = 'cancelled'), 0) AS cancelled
          FROM (SELECT n.queue, n.status, count(*) AS jobs FROM after_update n GROUP BY 1, 2
                UNION ALL
                SELECT o.queue, o.status, -count(*) FROM before_update o GROUP BY 1, 2) c
          GROUP BY c.queue) d
    WHERE d.pending <> 0 OR d.processing <> 0 OR d.completed <> 0 OR d.failed <> 0 OR d.cancelled <> 0;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION public.count_no_jobs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('mobvibe.fold_job_counts')); -- a fold under way would write its sums after us
    DELETE FROM public.job_counts;
    RETURN NULL;
END $$;

-- count_jobs: puts the jobs that this statement sees in place of all counts it sees. Right only while nobody else writes,
-- or in the snapshot of a moment when nobody did. Folds wait meanwhile.
CREATE OR REPLACE FUNCTION public.count_jobs() RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('mobvibe.fold_job_counts'));
    WITH gone AS (
        DELETE FROM public.job_counts RETURNING *
    ), ever AS (
        SELECT g.queue, sum(g.ever_completed) AS completed, sum(g.ever_failed) AS failed, sum(g.ever_cancelled) AS cancelled
        FROM gone g GROUP BY g.queue
    ), now AS (
        SELECT j.queue, count(*) FILTER (WHERE j.status = 'pending') AS pending,
               count(*) FILTER (WHERE j.status = 'processing') AS processing,
               count(*) FILTER (WHERE j.status = 'completed') AS completed,
               count(*) FILTER (WHERE j.status = 'failed') AS failed,
               count(*) FILTER (WHERE j.status = 'cancelled') AS cancelled
        FROM public.coding_jobs j GROUP BY j.queue
    )
    INSERT INTO public.job_counts
    SELECT queue, coalesce(n.pending, 0), coalesce(n.processing, 0), coalesce(n.completed, 0), coalesce(n.failed, 0),
           coalesce(n.cancelled, 0), greatest(e.completed, n.completed, 0), greatest(e.failed, n.failed, 0),
           greatest(e.cancelled, n.cancelled, 0)
    FROM now n FULL JOIN ever e USING (queue);
END $$;

-- recount_jobs: counts the table itself, after changes that no trigger saw. Writers wait meanwhile.
CREATE OR REPLACE FUNCTION public.recount_jobs() RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    LOCK TABLE public.coding_jobs IN SHARE ROW EXCLUSIVE MODE;
    PERFORM public.count_jobs();
END $$;

DROP TRIGGER IF EXISTS count_new_jobs ON public.coding_jobs;
CREATE TRIGGER count_new_jobs AFTER INSERT ON public.coding_jobs
    REFERENCING NEW TABLE AS created
    FOR EACH STATEMENT EXECUTE FUNCTION public.count_new_jobs();

DROP TRIGGER IF EXISTS count_changed_jobs ON public.coding_jobs;
CREATE TRIGGER count_changed_jobs AFTER UPDATE ON public.coding_jobs
    REFERENCING OLD TABLE AS before_update NEW TABLE AS after_update
    FOR EACH STATEMENT EXECUTE FUNCTION public.count_changed_jobs();

DROP TRIGGER IF EXISTS count_deleted_jobs ON public.coding_jobs;
CREATE TRIGGER count_deleted_jobs AFTER DELETE ON public.coding_jobs
    REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION public.count_deleted_jobs();

DROP TRIGGER IF EXISTS count_no_jobs ON public.coding_jobs;
CREATE TRIGGER count_no_jobs AFTER TRUNCATE ON public.coding_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION public.count_no_jobs();

-- Also what was there before the triggers were. `mobvibe migrate up` counts it by itself, without holding up writers.
DO $$ BEGIN
    IF current_setting('mobvibe.count', true) IS DISTINCT FROM 'later' THEN
        PERFORM public.recount_jobs();
    END IF;
END $$;

-- fold_job_counts: adds rows of differences up, p_limit at the most; how many went. Sums do not change by it, so
-- a second caller at the same time would do no harm; it finds the lock taken and does nothing.
CREATE OR REPLACE FUNCTION public.fold_job_counts(p_limit integer) RETURNS integer
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    folded integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('mobvibe.fold_job_counts')) THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM public.job_counts c
        WHERE c.ctid = ANY (ARRAY(SELECT s.ctid FROM public.job_counts s LIMIT p_limit FOR UPDATE SKIP LOCKED))
        RETURNING *
    ), sums AS (
        INSERT INTO public.job_counts
        SELECT g.queue, sum(g.pending), sum(g.processing), sum(g.completed), sum(g.failed), sum(g.cancelled),
               sum(g.ever_completed), sum(g.ever_failed), sum(g.ever_cancelled)
        FROM gone g GROUP BY g.queue
        RETURNING queue
    )
    SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM sums) INTO folded;
    RETURN folded;
END $$;

-- queue_counts: jobs by queue and status, and the age of the oldest pending one. Index: jobs_oldest.
CREATE OR REPLACE FUNCTION public.queue_counts()
RETURNS TABLE (queue text, pending bigint, processing bigint, completed bigint, failed bigint, cancelled bigint,
               ever_completed bigint, ever_failed bigint, ever_cancelled bigint, oldest_pending_age interval)
LANGUAGE plpgsql STABLE SET search_path = '' SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off SET enable_sort = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT s.queue, s.pending, s.processing, s.completed, s.failed, s.cancelled,
           s.ever_completed, s.ever_failed, s.ever_cancelled,
           clock_timestamp() - (SELECT j.created_at FROM public.coding_jobs j
                                WHERE j.queue = s.queue AND j.status = 'pending' ORDER BY j.created_at LIMIT 1)
    FROM (SELECT c.queue, sum(c.pending)::bigint AS pending, sum(c.processing)::bigint AS processing,
                 sum(c.completed)::bigint AS completed, sum(c.failed)::bigint AS failed,
                 sum(c.cancelled)::bigint AS cancelled, sum(c.ever_completed)::bigint AS ever_completed,
                 sum(c.ever_failed)::bigint AS ever_failed, sum(c.ever_cancelled)::bigint AS ever_cancelled
          FROM public.job_counts c GROUP BY c.queue) s;
END $$;

CREATE OR REPLACE FUNCTION public.get_queue_stats()
RETURNS TABLE (pending_count bigint, processing_count bigint, completed_count bigint, failed_count bigint,
               oldest_pending_age interval)
LANGUAGE sql STABLE SET search_path = ''
AS $$
    SELECT coalesce(sum(q.pending), 0)::bigint, coalesce(sum(q.processing), 0)::bigint,
           coalesce(sum(q.completed), 0)::bigint, coalesce(sum(q.failed), 0)::bigint, max(q.oldest_pending_age)
    FROM public.queue_counts() q
$$;
COMMENT ON FUNCTION public.get_queue_stats() IS 'Jobs by status, and the age of the oldest pending one';

-- prune_finished_jobs: deletes jobs that ended longer ago than p_age, oldest first, p_limit at the most. Their ledger
-- goes with them, what operators did to them stays. No job holds up the others: where all at once are refused (a host's
-- foreign key, a trigger), each is tried by itself, for two seconds; behind the place (p_at, p_id) lies what was not
-- tried yet. That order costs a sort of those that ended at one moment: without a place they come as they lie. Says how
-- many went, how many were refused and why the first of them, the last place tried, and whether more may follow.
-- Index: jobs_ended.
CREATE OR REPLACE FUNCTION public.prune_finished_jobs(p_age interval, p_limit integer, p_at text, p_id uuid)
RETURNS TABLE (pruned integer, kept integer, kept_by text, last_at text, last_id uuid, more boolean)
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan SET jit = off
    SET lock_timeout = '200ms'
AS $$
#variable_conflict use_column
DECLARE
    ids uuid[]; ends timestamptz[];
    tried integer; gone integer; deleted integer; first_error text; until timestamptz;
BEGIN
    IF p_at IS NULL THEN
        SELECT array_agg(o.id), array_agg(o.completed_at), count(*) INTO ids, ends, tried
        FROM (SELECT j.id, j.completed_at FROM public.coding_jobs j
              WHERE j.completed_at < clock_timestamp() - p_age AND j.status IN ('completed', 'failed', 'cancelled')
              ORDER BY j.completed_at LIMIT p_limit FOR UPDATE SKIP LOCKED) o;
    ELSE
        SELECT array_agg(o.id), array_agg(o.completed_at), count(*) INTO ids, ends, tried
        FROM (SELECT j.id, j.completed_at FROM public.coding_jobs j
              WHERE j.completed_at < clock_timestamp() - p_age AND j.status IN ('completed', 'failed', 'cancelled')
                AND j.completed_at >= p_at::timestamptz AND (j.completed_at, j.id) > (p_at::timestamptz, p_id)
              ORDER BY j.completed_at, j.id LIMIT p_limit FOR UPDATE SKIP LOCKED) o;
    END IF;
    IF tried = 0 THEN
        RETURN QUERY SELECT 0, 0, NULL, p_at, p_id, false;
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;  -- one that is checked at the commit would undo all of them
    BEGIN
        DELETE FROM public.coding_jobs j WHERE j.id = ANY (ids);
        GET DIAGNOSTICS gone = ROW_COUNT;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        gone := 0;
        until := clock_timestamp() + interval '2 s';
        FOR i IN 1 .. cardinality(ids) LOOP
            tried := i;
            BEGIN
                DELETE FROM public.coding_jobs j WHERE j.id = ids[i];
                GET DIAGNOSTICS deleted = ROW_COUNT;
                gone := gone + deleted;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                first_error := coalesce(first_error, left(split_part(SQLERRM, E'\n', 1), 300));
            END;
            EXIT WHEN clock_timestamp() > until;
        END LOOP;
    END;
    RETURN QUERY SELECT gone, tried - gone,
        CASE WHEN gone < tried THEN coalesce(first_error, 'a trigger or rule leaves out their DELETE') END,
        ends[tried]::text, ids[tried], tried < cardinality(ids) OR tried >= p_limit;
END $$;

-- prune_jobs: the same from the beginning, as the version before calls it; how many went.
CREATE OR REPLACE FUNCTION public.prune_jobs(p_age interval, p_limit integer) RETURNS integer
LANGUAGE sql SET search_path = ''
AS $$ SELECT f.pruned FROM public.prune_finished_jobs(p_age, p_limit, NULL, NULL) f $$;

DO $do$ BEGIN PERFORM public.mobvibe_close_rights(); END $do$;
