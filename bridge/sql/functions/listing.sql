-- Lists of jobs, for people.

-- job_matches: whether a filter means a job, see job_filter.py. Takes the job's columns, then the filter's conditions; one
-- that is NULL holds for any job. Texts are searched as they are, in small or capital letters.
-- Without SET and with an expression for a body, so that Postgres inlines it: a list calls it for thousands of rows. It
-- takes columns and not the row: a host must be able to drop or change its table.
CREATE OR REPLACE FUNCTION public.job_matches(
    p_job_queue text, p_job_actor text, p_job_retry_count integer, p_job_prompt text, p_job_error text,
    p_queue text, p_actor text, p_attempt integer, p_error text, p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN (p_queue IS NULL OR p_job_queue = p_queue)
   AND (p_actor IS NULL OR p_job_actor = p_actor)
   AND (p_attempt IS NULL OR p_job_retry_count >= p_attempt)
   AND (p_error IS NULL OR strpos(lower(p_job_error), lower(p_error)) > 0)
   AND (p_text IS NULL OR strpos(lower(p_job_prompt), lower(p_text)) > 0 OR strpos(lower(p_job_error), lower(p_text)) > 0);
