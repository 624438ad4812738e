-- The words of jobs, so that free text is found among all of them: see functions/search.sql. A table of its own, which a
-- bridge fills afterwards: inserts, claims and reports of jobs write nothing here.

CREATE TABLE IF NOT EXISTS public.job_search (
    job_id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    words tsvector NOT NULL
);
COMMENT ON COLUMN public.job_search.at IS 'changed_at() of the job when it was indexed: if it differs, the row is outdated, and not found';
COMMENT ON COLUMN public.job_search.words IS 'Words of prompt and error, and with a leading = its status, queue and actor: see job_words()';
CREATE INDEX IF NOT EXISTS job_search_latest ON public.job_search (at, job_id);
-- Without the list of entries that wait to be merged: each search would read it, and to merge it takes a time that a smaller
-- batch does not shorten.
CREATE INDEX IF NOT EXISTS job_search_words ON public.job_search USING gin (words) WITH (fastupdate = off);

-- How far the index reaches: one row.
CREATE TABLE IF NOT EXISTS public.job_search_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    ended_at timestamptz NOT NULL DEFAULT '-infinity',
    ended_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    swept_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    swept_at timestamptz NOT NULL DEFAULT '-infinity'
);
COMMENT ON COLUMN public.job_search_progress.ended_at IS 'Jobs that ended up to then, in the order of their end and id, are indexed';
COMMENT ON COLUMN public.job_search_progress.swept_id IS 'The sweep through all jobs, in the order of their ids, goes on behind this one';
COMMENT ON COLUMN public.job_search_progress.swept_at IS 'When the last sweep has come to the end';
