-- Jobs: sent, listed, cancelled and retried.

-- name: enqueue
-- One job, in the transaction that the caller has open. If the caller names no queue or no number of attempts,
-- route_new_job (triggers/jobs.sql) gives the actor's own. A setting says that 3 attempts are meant, which is also
-- the column's default: a column could not say so, as the role may have rights on the documented columns only.
INSERT INTO public.coding_jobs (actor, queue, payload, session_id, prompt, priority, run_at, max_retries)
VALUES (%(actor)s, coalesce(%(queue)s::text, 'coding'), %(payload)s::text::jsonb, %(session_id)s, %(prompt)s, %(priority)s,
        %(run_at)s,
        CASE WHEN coalesce(%(queue)s::text, 'coding') = 'coding' AND %(max_retries)s::integer = 3
             THEN CASE WHEN set_config('mobvibe.three_attempts', statement_timestamp()::text, true) <> '' THEN 3 END
             ELSE coalesce(%(max_retries)s::integer, 3) END)
RETURNING id

-- name: send
-- One job under the id of its message. No row: that id is there already. 3 attempts: as in enqueue.
INSERT INTO public.coding_jobs (id, actor, queue, payload, priority, run_at, max_retries)
VALUES (%(id)s, %(actor)s, %(queue)s, %(payload)s::text::jsonb, %(priority)s,
        CASE WHEN %(delay)s::interval > interval '0' THEN now() + %(delay)s::interval END,
        CASE WHEN %(queue)s::text = 'coding' AND %(max_retries)s::integer = 3
             THEN CASE WHEN set_config('mobvibe.three_attempts', statement_timestamp()::text, true) <> '' THEN 3 END
             ELSE coalesce(%(max_retries)s::integer, 3) END)
ON CONFLICT (id) DO NOTHING
RETURNING id

-- name: created_at
-- When a job was inserted, for a caller that must not run an old one.
SELECT created_at FROM public.coding_jobs WHERE id = %(id)s

-- name: list_jobs
-- The latest jobs that a filter (job_filter.py) means, newest first: pending ones by their insertion, running ones by
-- their claim, finished ones by their end. A page begins behind the job `before_id` of the time `before_at`. Reads the
-- latest %(looked_at)s of each kind, of pending ones in each queue, of failed ones with the fingerprint that is given; and
-- all of a session. Indexes: jobs_oldest, jobs_processing, jobs_ended, jobs_failed, jobs_dead, jobs_of_session, primary key.
WITH RECURSIVE asked AS MATERIALIZED (
    SELECT least(coalesce(clock_timestamp() - %(older)s::interval, 'infinity'), %(before_at)s::timestamptz) AS until,
           coalesce(%(before_at)s::timestamptz, 'infinity') AS before_at, %(before_id)s::uuid AS before_id
), queues AS (
    (SELECT j.queue FROM public.coding_jobs j WHERE j.status = 'pending' ORDER BY j.queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM public.coding_jobs j
            WHERE j.status = 'pending' AND j.queue > q.queue ORDER BY j.queue LIMIT 1)
    FROM queues q WHERE q.queue IS NOT NULL
), waiting AS (
    SELECT s.*
    FROM queues q CROSS JOIN asked a CROSS JOIN LATERAL (
        SELECT (w.job).id, w.at
        FROM (SELECT j AS job, j.created_at AS at FROM public.coding_jobs j
              WHERE j.status = 'pending' AND j.queue = q.queue AND j.created_at <= a.until
              ORDER BY j.created_at DESC LIMIT %(looked_at)s) w
        WHERE (w.at < a.before_at OR (w.job).id < a.before_id) AND public.job_matches((w.job).queue, (w.job).actor, (w.job).retry_count, (w.job).prompt, (w.job).error_message,
                               %(queue)s, %(actor)s, %(attempt)s, %(error)s, %(text)s, %(fingerprint)s) ORDER BY w.at DESC, (w.job).id DESC LIMIT %(limit)s) s
    WHERE %(session)s::uuid IS NULL AND coalesce(%(status)s, 'pending') = 'pending'
      AND q.queue = coalesce(%(queue)s, q.queue)
), running AS (
    SELECT (s.job).id, s.at
    FROM (SELECT j AS job, j.claimed_at AS at FROM public.coding_jobs j
          WHERE j.status = 'processing' AND j.claimed_at <= (SELECT until FROM asked)
          ORDER BY j.claimed_at DESC LIMIT %(looked_at)s) s, asked a
    WHERE %(session)s::uuid IS NULL AND coalesce(%(status)s, 'processing') = 'processing'
      AND (s.at < a.before_at OR (s.job).id < a.before_id) AND public.job_matches((s.job).queue, (s.job).actor, (s.job).retry_count, (s.job).prompt, (s.job).error_message,
                               %(queue)s, %(actor)s, %(attempt)s, %(error)s, %(text)s, %(fingerprint)s)
    ORDER BY s.at DESC, (s.job).id DESC LIMIT %(limit)s
), finished AS (
    SELECT (s.job).id, s.at
    FROM (SELECT j AS job, j.completed_at AS at FROM public.coding_jobs j
          WHERE j.status IN ('completed', 'failed', 'cancelled') AND j.completed_at <= (SELECT until FROM asked) AND j.completed_at > %(since)s::text::timestamp AT TIME ZONE 'UTC'
          ORDER BY j.completed_at DESC LIMIT %(looked_at)s) s, asked a
    WHERE %(session)s::uuid IS NULL AND coalesce(%(status)s, 'completed') = 'completed'
      AND (s.job).status = coalesce(%(status)s, (s.job).status)
      AND (s.at < a.before_at OR (s.job).id < a.before_id) AND public.job_matches((s.job).queue, (s.job).actor, (s.job).retry_count, (s.job).prompt, (s.job).error_message,
                               %(queue)s, %(actor)s, %(attempt)s, %(error)s, %(text)s, %(fingerprint)s)
    ORDER BY s.at DESC, (s.job).id DESC LIMIT %(limit)s
), failed AS (
    SELECT (s.job).id, s.at
    FROM (SELECT j AS job, j.completed_at AS at FROM public.coding_jobs j
          WHERE j.status IN ('failed', 'cancelled') AND j.status = %(status)s
            AND j.completed_at <= (SELECT until FROM asked) AND j.completed_at > %(since)s::text::timestamp AT TIME ZONE 'UTC'
          ORDER BY j.completed_at DESC LIMIT %(looked_at)s) s, asked a
    WHERE %(session)s::uuid IS NULL AND %(fingerprint)s::text IS NULL AND (s.at < a.before_at OR (s.job).id < a.before_id) AND public.job_matches((s.job).queue, (s.job).actor, (s.job).retry_count, (s.job).prompt, (s.job).error_message,
                               %(queue)s, %(actor)s, %(attempt)s, %(error)s, %(text)s, %(fingerprint)s)
    ORDER BY s.at DESC, (s.job).id DESC LIMIT %(limit)s
), alike AS (
    SELECT (s.job).id, s.at
    FROM (SELECT j AS job, j.completed_at AS at FROM public.coding_jobs j
          WHERE %(fingerprint)s::text IS NOT NULL AND j.status = 'failed' AND public.error_fingerprint(j.error_message) = %(fingerprint)s
            AND j.completed_at <= (SELECT until FROM asked)
          ORDER BY j.completed_at DESC LIMIT %(looked_at)s) s, asked a
    WHERE %(session)s::uuid IS NULL AND coalesce(%(status)s, 'failed') = 'failed'
      AND (s.at < a.before_at OR (s.job).id < a.before_id) AND public.job_matches((s.job).queue, (s.job).actor, (s.job).retry_count, (s.job).prompt, (s.job).error_message,
                               %(queue)s, %(actor)s, %(attempt)s, %(error)s, %(text)s, NULL)
    ORDER BY s.at DESC, (s.job).id DESC LIMIT %(limit)s
), by_hand AS (  -- finished, without completed_at
    SELECT (s.job).id, s.at
    FROM (SELECT j AS job, j.updated_at AS at FROM public.coding_jobs j
          WHERE j.status IN ('completed', 'failed', 'cancelled') AND j.completed_at IS NULL LIMIT %(looked_at)s) s, asked a
    WHERE %(session)s::uuid IS NULL AND coalesce(%(status)s, 'completed') IN ('completed', 'failed', 'cancelled')
      AND (s.job).status = coalesce(%(status)s, (s.job).status) AND s.at <= a.until
      AND (s.at < a.before_at OR (s.job).id < a.before_id) AND public.job_matches((s.job).queue, (s.job).actor, (s.job).retry_count, (s.job).prompt, (s.job).error_message,
                               %(queue)s, %(actor)s, %(attempt)s, %(error)s, %(text)s, %(fingerprint)s)
    ORDER BY s.at DESC, (s.job).id DESC LIMIT %(limit)s
), of_session AS (
    SELECT (s.job).id, s.at
    FROM (SELECT j AS job, public.changed_at(j.status, j.created_at, j.claimed_at, j.completed_at, j.updated_at) AS at
          FROM public.coding_jobs j WHERE j.session_id = %(session)s::uuid) s, asked a
    WHERE (s.job).status = coalesce(%(status)s, (s.job).status) AND s.at <= a.until
      AND (s.at < a.before_at OR (s.job).id < a.before_id) AND public.job_matches((s.job).queue, (s.job).actor, (s.job).retry_count, (s.job).prompt, (s.job).error_message,
                               %(queue)s, %(actor)s, %(attempt)s, %(error)s, %(text)s, %(fingerprint)s)
    ORDER BY s.at DESC, (s.job).id DESC LIMIT %(limit)s
), latest AS (
    SELECT * FROM waiting UNION ALL SELECT * FROM running UNION ALL SELECT * FROM finished
    UNION ALL SELECT * FROM failed UNION ALL SELECT * FROM alike UNION ALL SELECT * FROM by_hand UNION ALL SELECT * FROM of_session
    ORDER BY at DESC, id DESC LIMIT %(limit)s
)
SELECT j.id, j.status, j.actor, j.queue, j.priority, j.retry_count, j.max_retries, j.created_at, j.completed_at,
       left(j.error_message, %(error_most)s) AS error_message, left(j.prompt, %(error_most)s) AS prompt, j.session_id,
       j.claimed_at, j.started_at, j.run_at, j.worker, l.at AS changed_at
FROM latest l JOIN public.coding_jobs j USING (id)
ORDER BY l.at DESC, l.id DESC

-- name: list_chosen_jobs
-- As list_jobs, the jobs with the ids %(id)s. Index: primary key.
SELECT c.*
FROM (SELECT j.id, j.status, j.actor, j.queue, j.priority, j.retry_count, j.max_retries, j.created_at, j.completed_at,
             left(j.error_message, %(error_most)s) AS error_message, left(j.prompt, %(error_most)s) AS prompt, j.session_id,
             j.claimed_at, j.started_at, j.run_at, j.worker,
             public.changed_at(j.status, j.created_at, j.claimed_at, j.completed_at, j.updated_at) AS changed_at
      FROM public.coding_jobs j WHERE j.id = ANY (%(id)s::uuid[]) AND j.status = coalesce(%(status)s, j.status)) c
WHERE %(before_id)s::uuid IS NULL OR (c.changed_at, c.id) < (%(before_at)s::timestamptz, %(before_id)s::uuid)
ORDER BY c.changed_at DESC, c.id DESC LIMIT %(limit)s

-- name: list_indexed_jobs
-- Of the latest %(candidates)s jobs that the index finds for the words, and that have not changed since, those that the
-- filter means, as list_jobs has them. Indexes: job_search_latest, job_search_words, primary key.
SELECT j.id, j.status, j.actor, j.queue, j.priority, j.retry_count, j.max_retries, j.created_at, j.completed_at,
       left(j.error_message, %(error_most)s) AS error_message, left(j.prompt, %(error_most)s) AS prompt, j.session_id,
       j.claimed_at, j.started_at, j.run_at, j.worker, s.at AS changed_at
FROM (SELECT * FROM public.search_jobs(
             %(text)s, %(status)s, %(queue)s, %(actor)s,
             least(clock_timestamp() - %(older)s::interval, coalesce(%(before_at)s::timestamptz, 'infinity')),
             coalesce(CASE WHEN clock_timestamp() - %(older)s::interval < %(before_at)s::timestamptz THEN NULL ELSE %(before_id)s::uuid END,
                      'ffffffff-ffff-ffff-ffff-ffffffffffff'),
             %(candidates)s, %(walked)s)
      ORDER BY at DESC, job_id DESC) s
CROSS JOIN LATERAL (SELECT * FROM public.coding_jobs j WHERE j.id = s.job_id OFFSET 0) j  -- one by one, until the page is full
WHERE s.at = public.changed_at(j.status, j.created_at, j.claimed_at, j.completed_at, j.updated_at)
  AND j.status = coalesce(%(status)s, j.status)
  AND public.job_matches(j.queue, j.actor, j.retry_count, j.prompt, j.error_message,
                         %(queue)s, %(actor)s, %(attempt)s, %(error)s, %(text)s, %(fingerprint)s)
ORDER BY s.at DESC, s.job_id DESC LIMIT %(limit)s

-- name: count_indexed_jobs
-- How many jobs the index finds for the words, up to %(candidates)s. Indexes: job_search_latest, job_search_words.
SELECT count(*) AS jobs
FROM public.search_jobs(
             %(text)s, %(status)s, %(queue)s, %(actor)s,
             least(clock_timestamp() - %(older)s::interval, coalesce(%(before_at)s::timestamptz, 'infinity')),
             coalesce(CASE WHEN clock_timestamp() - %(older)s::interval < %(before_at)s::timestamptz THEN NULL ELSE %(before_id)s::uuid END,
                      'ffffffff-ffff-ffff-ffff-ffffffffffff'),
             %(candidates)s, %(walked)s)

-- name: search_progress
-- Up to which end jobs are indexed, and from when on one may not be, since it committed late: a minute before. Both in UTC.
-- No row: none is indexed yet.
SELECT (p.ended_at AT TIME ZONE 'UTC')::text AS reached, (p.ended_at AT TIME ZONE 'UTC' - interval '1 minute')::text AS since
FROM public.job_search_progress p

-- name: has_ended_since
-- Whether more than %(searched)s jobs have ended since %(since)s. Index: jobs_ended.
SELECT EXISTS (SELECT FROM public.coding_jobs j
               WHERE j.status IN ('completed', 'failed', 'cancelled') AND j.completed_at > %(since)s::text::timestamp AT TIME ZONE 'UTC'
               ORDER BY j.completed_at OFFSET %(searched)s LIMIT 1) AS found

-- name: show_job
-- One job, every column. Index: primary key.
SELECT id, status, actor, queue, priority, session_id, prompt, payload, result, error_message, retry_count, max_retries,
       run_at, created_at, claimed_at, started_at, completed_at, updated_at, fence, exec, worker, claimed_by,
       cancel_requested_at, to_jsonb(j) -> 'releases' AS releases
FROM public.coding_jobs j WHERE id = %(id)s

-- name: show_attempts
-- The ended attempts of one job, oldest first. Index: primary key.
SELECT a.fence, a.outcome, a.claimed_at, a.started_at, a.finished_at, w.name AS worker, left(a.error, %(error_most)s) AS error
FROM public.job_attempts a LEFT JOIN public.workers w ON w.id = a.worker
WHERE a.job_id = %(id)s ORDER BY a.fence

-- name: list_audit
-- What operators did to single jobs, to queues and to all jobs of a filter, the latest first. `target`: what it was done
-- to, if not to a job. The jobs of a bulk operation are not listed one by one. Indexes: job_audit_single, primary keys.
SELECT a.*
FROM ((SELECT job_id, NULL AS target, NULL::bigint AS operation, action, done_by, reason, status_before, status_after, NULL AS stopped_by,
              done_at
       FROM public.job_audit WHERE bulk_operation IS NULL ORDER BY id DESC LIMIT %(limit)s)
      UNION ALL
      (SELECT NULL, target, NULL, action, done_by, reason, NULL, NULL, NULL, done_at
       FROM public.operator_audit ORDER BY id DESC LIMIT %(limit)s)
      UNION ALL
      (SELECT NULL, filter, id, action, made_by, reason, NULL, state, stopped_by, started_at
       FROM public.bulk_operations WHERE started_at IS NOT NULL ORDER BY id DESC LIMIT %(limit)s)) a
ORDER BY a.done_at DESC LIMIT %(limit)s

-- name: cancel_job
SELECT public.cancel_job(%(id)s, coalesce(%(by)s, current_user), %(reason)s) AS status

-- name: retry_job
SELECT public.retry_job(%(id)s, coalesce(%(by)s, current_user), %(reason)s) AS status


-- name: replay_job
SELECT public.replay_job(%(id)s, %(payload)s::text::jsonb, %(prompt)s, coalesce(%(by)s, current_user), %(reason)s,
                         coalesce(%(copy)s::uuid, gen_random_uuid())) AS copy

-- name: show_audit
-- What operators did to one job, and which job it is a replay of; newest first. Indexes: job_audit_of_job, job_audit_copy.
SELECT a.done_at, a.action, a.done_by, a.reason, a.job_id, a.copy
FROM public.job_audit a WHERE a.job_id = %(id)s OR a.copy = %(id)s
ORDER BY a.id DESC LIMIT %(limit)s

-- name: list_bulk_operations
-- The latest bulk operations that were started, newest first; or the one with %(id)s, started or not. Index: primary key.
SELECT b.id, b.action, b.filter, b.state, CASE WHEN b.counts IS NOT NULL
           THEN (SELECT coalesce(sum(c.value::bigint), 0)::bigint FROM jsonb_each_text(b.counts) c) END AS total,
       b.done, b.skipped, b.first_refusal, b.jobs_per_second, b.made_by, b.reason, b.stopped_by, b.counts, b.made_at,
       b.started_at, b.finished_at
FROM public.bulk_operations b
WHERE CASE WHEN %(id)s::bigint IS NULL THEN b.started_at IS NOT NULL ELSE b.id = %(id)s END
ORDER BY b.id DESC LIMIT %(limit)s
