-- Triggers that keep the counts of jobs: see tables/0003_job_counts.sql.

-- These run with the owner's rights: a role that may insert a job needs no right on the counts.

-- count_new_jobs: adds the inserted jobs to the counts of their queues. Most statements insert one pending job: to group
-- that one would cost as much as all the rest.
CREATE OR REPLACE FUNCTION public.count_new_jobs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    INSERT INTO public.job_counts (queue, pending)
    SELECT c.queue, 1 FROM created c WHERE c.status = 'pending' AND NOT EXISTS (SELECT FROM created OFFSET 1);
    IF FOUND THEN
        RETURN NULL;
    END IF;
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

-- count_deleted_jobs: subtracts the deleted jobs from the counts of their queues.
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

-- count_changed_jobs: moves the changed jobs from the counts that they had to those that they have now.
-- Most statements move all their rows from one status to one other, or change no status, as a start does. Rows are
-- grouped only where they differ.
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

-- count_no_jobs: all counts go when the job table is truncated.
CREATE OR REPLACE FUNCTION public.count_no_jobs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('mobvibe.fold_job_counts')); -- a fold that is under way would write its sums afterwards
    DELETE FROM public.job_counts;
    RETURN NULL;
END $$;

-- count_jobs: replaces all counts that this statement sees by the jobs that it sees. That is right only while nobody
-- else writes, or in the snapshot of a moment when nobody did. Folds wait until it ends.
CREATE OR REPLACE FUNCTION public.count_jobs() RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('mobvibe.fold_job_counts'));
    WITH gone AS (
        DELETE FROM public.job_counts RETURNING *
    ), ever AS (
        SELECT g.queue, sum(g.ever_completed) AS completed, sum(g.ever_failed) AS failed, sum(g.ever_cancelled) AS cancelled,
               sum(g.ever_session_refused) AS session_refused
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
           greatest(e.cancelled, n.cancelled, 0), coalesce(e.session_refused, 0)
    FROM now n FULL JOIN ever e USING (queue);
END $$;

-- recount_jobs: counts the whole table, after changes that no trigger saw. Writers wait until it ends.
CREATE OR REPLACE FUNCTION public.recount_jobs() RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    LOCK TABLE public.coding_jobs IN SHARE ROW EXCLUSIVE MODE;
    PERFORM public.count_jobs();
END $$;

-- fold_job_counts: adds up to p_limit rows of differences together. Returns by how many rows there are fewer. The
-- sums stay the same, so a second caller at the same time would do no harm; it finds the lock taken and does nothing.
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
               sum(g.ever_completed), sum(g.ever_failed), sum(g.ever_cancelled), sum(g.ever_session_refused)
        FROM gone g GROUP BY g.queue
        RETURNING queue
    )
    SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM sums) INTO folded;
    RETURN folded;
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

-- Counts the jobs from before the triggers, too. `mobvibe migrate up` does that itself, without holding up writers.
DO $$ BEGIN
    IF current_setting('mobvibe.count', true) IS DISTINCT FROM 'later' THEN
        PERFORM public.recount_jobs();
    END IF;
END $$;
