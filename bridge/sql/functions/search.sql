-- Search: an index over the words of jobs, see tables/0011_search.sql. A bridge fills it in small batches, after the jobs
-- have ended; a list reads it, and looks at the latest jobs themselves.

-- job_labels: status, queue and actor of a job, as its row in job_search has them. No word begins with =.
CREATE OR REPLACE FUNCTION public.job_labels(p_status text, p_queue text, p_actor text) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN array_remove(ARRAY['=s ' || p_status, '=q ' || p_queue, '=a ' || left(p_actor, 200)], NULL);

-- job_words: what job_search keeps of a job. A word is cut after 64 characters. No text makes it fail: tsvector's limits
-- (2 kB for a word, 1 MB in all) are far above those of searched_text() and of words.
CREATE OR REPLACE FUNCTION public.job_words(p_prompt text, p_error text, p_status text, p_queue text, p_actor text) RETURNS tsvector
LANGUAGE sql IMMUTABLE
RETURN array_to_tsvector(
    ARRAY(SELECT left(w.word, 64)
          FROM unnest(string_to_array(regexp_replace(public.searched_text(p_prompt, p_error) COLLATE "C",
                                                     '[\x01-\x2f:-@\[-`{-\x7f]+', ' ', 'g'), ' ')) AS w (word)
          WHERE w.word <> '')
    || public.job_labels(p_status, p_queue, p_actor));

-- words_query: what finds these words in job_search. The text is as job_matches takes it, the labels as job_labels has them.
CREATE OR REPLACE FUNCTION public.words_query(p_text text, p_labels text[]) RETURNS tsquery
LANGUAGE sql IMMUTABLE SET search_path = ''
AS $$
    SELECT string_agg(t.term, ' & ')::tsquery
    FROM (SELECT CASE WHEN w.word LIKE '%*' THEN '''' || rtrim(w.word, '*') || ''':*' ELSE '''' || w.word || '''' END AS term
          FROM unnest(string_to_array(lower(p_text), ' ')) AS w (word)
          UNION ALL
          SELECT '''' || replace(replace(l.label, '\', '\\'), '''', '''''') || '''' FROM unnest(p_labels) AS l (label)) t
$$;

-- search_jobs: jobs with these words, the one that changed last first, up to p_limit of those behind the place (p_at, p_id).
-- Words that many jobs have are found by time, among the latest p_walked rows; if the planner expects more jobs than that
-- to have them, among three times as many. Others are few enough to read all of their rows and sort them. Rows may be
-- outdated: compare `at` with the job. It is volatile to ask the planner, and changes nothing. Indexes: job_search_latest,
-- job_search_words.
CREATE OR REPLACE FUNCTION public.search_jobs(
    p_text text, p_status text, p_queue text, p_actor text, p_at timestamptz, p_id uuid, p_limit integer, p_walked integer)
RETURNS TABLE (job_id uuid, at timestamptz)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    query tsquery := public.words_query(p_text, public.job_labels(p_status, p_queue, p_actor));
    ids uuid[];
    times timestamptz[];
    expected json;
    walked integer := p_walked;
BEGIN
    LOOP
        SELECT array_agg(f.job_id), array_agg(f.at) INTO ids, times
        FROM (SELECT w.job_id, w.at
              FROM (SELECT s.job_id, s.at, s.words FROM public.job_search s
                    WHERE (s.at, s.job_id) < (p_at, p_id) ORDER BY s.at DESC, s.job_id DESC LIMIT walked) w
              WHERE w.words @@ query LIMIT p_limit) f;
        IF cardinality(ids) = p_limit THEN
            RETURN QUERY SELECT * FROM unnest(ids, times);
            RETURN;
        END IF;
        EXIT WHEN walked > p_walked;
        EXECUTE format('EXPLAIN (FORMAT json) SELECT FROM public.job_search s WHERE s.words @@ %L', query) INTO expected;
        EXIT WHEN (expected #>> '{0,Plan,Plan Rows}')::numeric <= p_walked;
        walked := p_walked * 3;
    END LOOP;
    RETURN QUERY
    SELECT f.job_id, f.at
    FROM (SELECT s.job_id, s.at FROM public.job_search s WHERE s.words @@ query OFFSET 0) f  -- by this index only
    WHERE (f.at, f.job_id) < (p_at, p_id) ORDER BY f.at DESC, f.job_id DESC LIMIT p_limit;
END $$;

-- index_jobs: indexes up to p_limit jobs that have ended, in the order of their ends, from where the last call stopped. If
-- fewer are left, it looks at the next p_looked_at of all jobs for those whose row is missing or outdated, and for rows
-- whose job is gone: jobs that wait for long, whose end committed late, or that were changed by hand. Such a sweep begins
-- an hour after the last one. Returns how many were indexed, and whether more is left to do; 0 while another bridge does
-- it. Indexes: jobs_ended, primary keys.
CREATE OR REPLACE FUNCTION public.index_jobs(p_limit integer, p_looked_at integer) RETURNS TABLE (indexed integer, more boolean)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    done public.job_search_progress;
    last_id uuid;
    looked_at integer;
    swept integer := 0;
    end_of_ids CONSTANT uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
BEGIN
    indexed := 0;
    more := false;
    IF NOT pg_try_advisory_xact_lock(hashtext('mobvibe.index_jobs')) THEN
        RETURN NEXT;
        RETURN;
    END IF;
    INSERT INTO public.job_search_progress (only_row) SELECT true WHERE NOT EXISTS (SELECT FROM public.job_search_progress);
    SELECT * INTO done FROM public.job_search_progress p;

    WITH batch AS MATERIALIZED (
        SELECT j.id, j.completed_at, j.prompt, j.error_message, j.status, j.queue, j.actor FROM public.coding_jobs j
        WHERE j.status IN ('completed', 'failed', 'cancelled')
          AND (j.completed_at, j.id) > (done.ended_at, done.ended_id)
          AND j.completed_at < this_moment - interval '2 s'  -- most of what ended before has committed
        ORDER BY j.completed_at, j.id LIMIT p_limit
    ), written AS (
        INSERT INTO public.job_search AS s (job_id, at, words)
        SELECT b.id, b.completed_at, public.job_words(b.prompt, b.error_message, b.status, b.queue, b.actor) FROM batch b
        ON CONFLICT (job_id) DO UPDATE SET at = excluded.at, words = excluded.words
    )
    SELECT count(*), coalesce((array_agg(b.completed_at ORDER BY b.completed_at DESC, b.id DESC))[1], done.ended_at),
           coalesce((array_agg(b.id ORDER BY b.completed_at DESC, b.id DESC))[1], done.ended_id)
    INTO indexed, done.ended_at, done.ended_id FROM batch b;

    IF indexed < p_limit AND done.swept_at < this_moment - interval '1 hour' THEN
        SELECT count(*), (array_agg(w.id ORDER BY w.id DESC))[1] INTO looked_at, last_id
        FROM (SELECT j.id FROM public.coding_jobs j WHERE j.id > done.swept_id ORDER BY j.id LIMIT p_looked_at) w;
        IF looked_at < p_looked_at THEN
            last_id := end_of_ids;
        END IF;
        WITH batch AS MATERIALIZED (
            SELECT j.id, c.at, j.prompt, j.error_message, j.status, j.queue, j.actor
            FROM public.coding_jobs j
            CROSS JOIN LATERAL (SELECT public.changed_at(j.status, j.created_at, j.claimed_at, j.completed_at, j.updated_at) AS at) c
            LEFT JOIN public.job_search s ON s.job_id = j.id
            WHERE j.id > done.swept_id AND j.id <= last_id AND j.status <> 'processing'
              AND NOT (j.status = 'pending' AND j.created_at > this_moment - interval '5 minutes')
              AND NOT (j.status <> 'pending' AND coalesce(j.completed_at > done.ended_at, false))
              AND (s.at IS DISTINCT FROM c.at OR j.status = 'pending'
                   AND NOT s.words @@ public.words_query('', public.job_labels(j.status, j.queue, j.actor)))
            ORDER BY j.id LIMIT p_limit
        ), written AS (
            INSERT INTO public.job_search AS s (job_id, at, words)
            SELECT b.id, b.at, public.job_words(b.prompt, b.error_message, b.status, b.queue, b.actor) FROM batch b
            ON CONFLICT (job_id) DO UPDATE SET at = excluded.at, words = excluded.words
        )
        SELECT count(*), CASE WHEN count(*) = p_limit THEN (array_agg(b.id ORDER BY b.id DESC))[1] ELSE last_id END
        INTO swept, last_id FROM batch b;
        DELETE FROM public.job_search s WHERE s.job_id > done.swept_id AND s.job_id <= last_id
            AND NOT EXISTS (SELECT FROM public.coding_jobs j WHERE j.id = s.job_id);
        done.swept_id := CASE WHEN last_id = end_of_ids THEN '00000000-0000-0000-0000-000000000000' ELSE last_id END;
        done.swept_at := CASE WHEN last_id = end_of_ids THEN this_moment ELSE done.swept_at END;
    END IF;
    UPDATE public.job_search_progress p
    SET ended_at = done.ended_at, ended_id = done.ended_id, swept_id = done.swept_id, swept_at = done.swept_at
    WHERE (p.ended_at, p.ended_id, p.swept_id, p.swept_at) IS DISTINCT FROM
          (done.ended_at, done.ended_id, done.swept_id, done.swept_at);
    more := indexed = p_limit OR swept > p_limit / 10;
    indexed := indexed + swept;
    RETURN NEXT;
END $$;
