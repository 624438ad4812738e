-- Lists of jobs, for people.

-- searched_text: what words are searched in, in small letters. Only the first 10,000 characters of prompt and error count, so
-- that each job is searched in a time that is known. Inlined, as the next.
CREATE OR REPLACE FUNCTION public.searched_text(p_prompt text, p_error text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN lower(coalesce(left(p_prompt, 10000), '') || ' ' || coalesce(left(p_error, 10000), ''));

-- job_matches: whether a filter means a job, see job_filter.py. Takes the job's columns, then the filter's conditions; one
-- that is NULL holds for any job. Errors are searched for p_error as it is, in small or capital letters. p_text is words
-- with a space between, all of which must occur; one with * at its end is the beginning of a word. Between words are all
-- ASCII characters but letters and digits. First all words are looked for as they are, which is quicker.
-- Without SET and with an expression for a body, so that Postgres inlines it: a list calls it for thousands of rows. It
-- takes columns and not the row: a host must be able to drop or change its table.
CREATE OR REPLACE FUNCTION public.job_matches(
    p_job_queue text, p_job_actor text, p_job_retry_count integer, p_job_prompt text, p_job_error text,
    p_queue text, p_actor text, p_attempt integer, p_error text, p_text text, p_fingerprint text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN (p_queue IS NULL OR p_job_queue = p_queue)
   AND (p_actor IS NULL OR p_job_actor = p_actor)
   AND (p_attempt IS NULL OR p_job_retry_count >= p_attempt)
   AND (p_error IS NULL OR strpos(lower(p_job_error), lower(p_error)) > 0)
   AND (p_text IS NULL
        OR public.searched_text(p_job_prompt, p_job_error)
               LIKE ALL (string_to_array('%' || replace(replace(lower(p_text), '*', ''), ' ', '%,%') || '%', ','))
           AND public.searched_text(p_job_prompt, p_job_error) COLLATE "C" ~ ALL (string_to_array(replace(
               '(^|[\x01-\x2f:-@\[-`{-\x7f])' || replace(lower(p_text), ' ', '([\x01-\x2f:-@\[-`{-\x7f]|$),(^|[\x01-\x2f:-@\[-`{-\x7f])')
                   || '([\x01-\x2f:-@\[-`{-\x7f]|$)',
               '*([\x01-\x2f:-@\[-`{-\x7f]|$)', ''), ',')))
   AND (p_fingerprint IS NULL OR public.error_fingerprint(p_job_error) = p_fingerprint);

-- changed_at: when a job was made, claimed or ended, whichever it did last. Inlined, as above.
CREATE OR REPLACE FUNCTION public.changed_at(
    p_status text, p_created_at timestamptz, p_claimed_at timestamptz, p_completed_at timestamptz, p_updated_at timestamptz)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE
RETURN CASE p_status WHEN 'pending' THEN p_created_at WHEN 'processing' THEN p_claimed_at
                     ELSE coalesce(p_completed_at, p_updated_at) END;

-- is_meant: whether a bulk operation means a job, except for the conditions of job_matches: it has one of p_statuses, was
-- inserted with a seq up to p_last_seq, and changed last at p_until at the latest. Inlined, as above: the conditions choose
-- the index.
CREATE OR REPLACE FUNCTION public.is_meant(
    p_job_status text, p_job_seq bigint, p_job_session uuid, p_job_changed_at timestamptz,
    p_statuses text[], p_last_seq bigint, p_session uuid, p_until timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN p_job_status = ANY (p_statuses) AND p_job_seq <= p_last_seq
   AND (p_session IS NULL OR p_job_session = p_session)
   AND (p_until IS NULL OR p_job_changed_at <= p_until);
