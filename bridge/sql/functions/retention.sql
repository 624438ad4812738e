-- Retention: finished jobs are deleted after the time that the settings give.

-- prune_finished_jobs: deletes up to p_limit jobs that ended longer ago than p_age, oldest first, with their rows in
-- the ledger; job_audit stays. One row must not hold up the others: if all together are refused (a host's foreign key
-- or trigger), each is tried by itself, for two seconds in all.
-- (p_at, p_id) is the last place that an earlier call tried; this one goes on behind it. That order costs a sort of
-- the jobs that ended at one moment: without a place they come in the order of the index.
-- Returns how many were deleted, how many were refused and why the first of them was, the last place tried, and
-- whether there may be more. Index: jobs_ended.
CREATE OR REPLACE FUNCTION public.prune_finished_jobs(p_age interval, p_limit integer, p_at text, p_id uuid)
RETURNS TABLE (pruned integer, kept integer, kept_by text, last_at text, last_id uuid, more boolean)
LANGUAGE plpgsql SET search_path = ''
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
                AND (j.completed_at, j.id) > (p_at::timestamptz, p_id)
              ORDER BY j.completed_at, j.id LIMIT p_limit FOR UPDATE SKIP LOCKED) o;
    END IF;
    IF tried = 0 THEN
        RETURN QUERY SELECT 0, 0, NULL, p_at, p_id, false;
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;  -- a constraint that is checked at the commit would undo all rows
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

-- prune_jobs: prune_finished_jobs from the beginning, as the version before calls it. Returns how many were deleted.
CREATE OR REPLACE FUNCTION public.prune_jobs(p_age interval, p_limit integer) RETURNS integer
LANGUAGE sql SET search_path = ''
AS $$ SELECT f.pruned FROM public.prune_finished_jobs(p_age, p_limit, NULL, NULL) f $$;
