-- Dead letters: failed jobs, grouped by what their errors have in common (indexed_functions.sql).

-- dead_letters: groups of failed jobs whose errors have one fingerprint, in the order of the fingerprints, behind p_after:
-- up to p_groups of them, and as many as have p_jobs jobs together. `is_all`: whether all jobs of the group were counted.
-- Error and example are those of the job that failed last. Index: jobs_dead.
CREATE OR REPLACE FUNCTION public.dead_letters(p_after text, p_groups integer, p_jobs bigint, p_error_most integer)
RETURNS TABLE (fingerprint text, jobs bigint, is_all boolean, first_at timestamptz, last_at timestamptz, example uuid,
               error text, queues text[], actors text[])
LANGUAGE plpgsql STABLE SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    room bigint := p_jobs;
    next text := p_after;
BEGIN
    FOR turn IN 1 .. p_groups LOOP
        SELECT public.error_fingerprint(j.error_message) INTO next FROM public.coding_jobs j
        WHERE j.status = 'failed' AND public.error_fingerprint(j.error_message) > coalesce(next, '')
        ORDER BY public.error_fingerprint(j.error_message) LIMIT 1;
        EXIT WHEN next IS NULL OR room <= 0;
        fingerprint := next;
        SELECT coalesce(sum(c.jobs), 0), array_agg(DISTINCT c.queue), array_agg(DISTINCT c.actor) INTO jobs, queues, actors
        FROM (SELECT g.queue, g.actor, count(*) AS jobs
              FROM (SELECT j.queue, j.actor FROM public.coding_jobs j
                    WHERE j.status = 'failed' AND public.error_fingerprint(j.error_message) = next LIMIT room + 1) g
              GROUP BY g.queue, g.actor) c;
        is_all := jobs <= room;
        jobs := least(jobs, room);
        room := room - jobs;
        SELECT j.completed_at, j.id, left(j.error_message, p_error_most) INTO last_at, example, error
        FROM public.coding_jobs j
        WHERE j.status = 'failed' AND public.error_fingerprint(j.error_message) = next AND j.completed_at IS NOT NULL
        ORDER BY j.completed_at DESC LIMIT 1;
        SELECT min(j.completed_at) INTO first_at FROM public.coding_jobs j
        WHERE j.status = 'failed' AND public.error_fingerprint(j.error_message) = next;
        RETURN NEXT;
    END LOOP;
END $$;
