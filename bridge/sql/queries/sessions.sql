-- Sessions, for the web.

-- name: create_session
-- A session that waits for its first job.
INSERT INTO public.coding_sessions (user_id, project_id, initial_prompt, status, expires_at)
VALUES (%(user)s, %(project)s, %(prompt)s, 'pending', now() + interval '30 minutes')
RETURNING id, expires_at, status

-- name: hold_user
-- Lets no other transaction start a session of this user before this one has ended, or answer a request of theirs that has a
-- key: both could take the last place, or have the same key.
SELECT pg_advisory_xact_lock(hashtext('mobvibe.sessions'), hashtext(%(user)s::text))

-- name: count_open_sessions
-- How many sessions of a user are open, counted up to %(most)s: also those whose turn takes longer than they had left. Index:
-- coding_sessions_user_id_idx, jobs_of_session.
SELECT count(*) AS open
FROM (SELECT FROM public.coding_sessions o
      WHERE user_id = %(user)s AND status IN ('pending', 'active', 'paused')
        AND (expires_at IS NULL OR expires_at > now() OR status = 'active' AND EXISTS (
            SELECT FROM public.coding_jobs j WHERE j.session_id = o.id AND j.status IN ('pending', 'processing')))
      LIMIT %(most)s) s

-- name: find_idempotency_key
-- What a request with this key asked for on the last day, and its answer; no row: there was none. Index: primary key.
SELECT request_hash, answer FROM public.idempotency_keys
WHERE user_id = %(user)s AND key = %(key)s AND created_at > clock_timestamp() - interval '24 hours'

-- name: keep_idempotency_key
-- An older one is replaced. Two requests of a user do not get here at once: see hold_user. Index: primary key.
INSERT INTO public.idempotency_keys (user_id, key, request_hash, answer) VALUES (%(user)s, %(key)s, %(hash)s, %(answer)s::text::json)
ON CONFLICT (user_id, key) DO UPDATE
SET request_hash = excluded.request_hash, answer = excluded.answer, created_at = excluded.created_at

-- name: prune_idempotency_keys
-- Deletes up to %(limit)s keys that are older than a day. Index: idempotency_keys_age.
WITH gone AS (
    DELETE FROM public.idempotency_keys k WHERE k.ctid = ANY (ARRAY(
        SELECT o.ctid FROM public.idempotency_keys o WHERE o.created_at <= clock_timestamp() - interval '24 hours'
        ORDER BY o.created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) AS deleted FROM gone

-- name: session_status
-- One session of this user; no row for anybody else's. A turn may take longer than its session had left: it does not expire
-- meanwhile. Index: primary key, jobs_of_session.
SELECT id, project_id, initial_prompt, expires_at, started_at, completed_at, error_message, metadata, created_at, updated_at,
       CASE WHEN status IN ('pending', 'active', 'paused') AND expires_at < now() AND NOT (status = 'active' AND EXISTS (
           SELECT FROM public.coding_jobs j WHERE j.session_id = s.id AND j.status IN ('pending', 'processing')))
            THEN 'expired' ELSE status END AS status
FROM public.coding_sessions s WHERE id = %(session)s AND user_id = %(user)s

-- name: projects_table
-- Whether this database has projects with owners, as MobVibe's has.
SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = to_regclass('public.projects') AND a.attname = 'user_id') AS present

-- name: owns_project
-- Whether a project is the user's.
SELECT EXISTS (SELECT FROM public.projects WHERE id = %(project)s AND user_id = %(user)s) AS owned

-- name: session_owner
-- Whose session it is; no row: there is none. Index: primary key.
SELECT user_id FROM public.coding_sessions WHERE id = %(session)s

-- name: last_event_number
-- The number of a session's last event; no row: it has none with a number. Index: primary key.
SELECT last_seq FROM public.session_streams WHERE session_id = %(session)s

-- name: conversation
-- The messages of a session's conversation in order, from the last place where it begins. Index: primary key,
-- session_messages_begin.
SELECT m.role, m.content FROM public.session_messages m
WHERE m.session_id = %(session)s AND m."position" >= coalesce((
    SELECT max(b."position") FROM public.session_messages b WHERE b.session_id = %(session)s AND b.begins), 0)
ORDER BY m."position"

-- name: calls_of_last_message
-- The tool calls that were started for the last message of the assistant: of a turn that was cancelled inside of a call, a
-- prompt follows them. Index: session_calls_of_message, session_messages' primary key.
SELECT c.call_id, c.tool, c.input, c.finished_fence IS NOT NULL AS is_finished, c.result FROM public.session_calls c
WHERE c.session_id = %(session)s AND c."position" = (
    SELECT m."position" FROM public.session_messages m WHERE m.session_id = %(session)s AND m.role = 'assistant'
    ORDER BY m."position" DESC LIMIT 1)
ORDER BY c.started_at

-- name: waiting_prompts
-- What the user has sent and no turn has taken, in order. Index: session_inbox_waiting.
SELECT i.number, i.prompt FROM public.session_inbox i
WHERE i.session_id = %(session)s AND i.taken_at IS NULL ORDER BY i.number

-- name: stored_bundles
-- The last commit of a session's bundles, their number and their bytes. Index: primary key.
SELECT (SELECT b.commit FROM public.session_bundles b WHERE b.session_id = %(session)s ORDER BY b.number DESC LIMIT 1) AS commit,
       count(*) AS bundles, coalesce(sum(octet_length(b.data)), 0)::bigint AS size
FROM public.session_bundles b WHERE b.session_id = %(session)s

-- name: next_bundle
-- The bundle of a session that follows the one which leads to a commit, or its first one. Index: primary key.
SELECT b.base, b.commit, b.data FROM public.session_bundles b
WHERE b.session_id = %(session)s AND b.number > coalesce((
    SELECT a.number FROM public.session_bundles a WHERE a.session_id = %(session)s AND a.commit = %(after)s::text), 0)
ORDER BY b.number LIMIT 1

-- name: any_session_status
-- One session, whoever's, and how many of its jobs are open. Index: primary key, jobs_of_session.
SELECT id, user_id, project_id, initial_prompt, expires_at, created_at, started_at, completed_at, error_message,
       CASE WHEN status IN ('pending', 'active', 'paused') AND expires_at < now() AND NOT (status = 'active' AND EXISTS (
           SELECT FROM public.coding_jobs j WHERE j.session_id = s.id AND j.status IN ('pending', 'processing')))
            THEN 'expired' ELSE status END AS status,
       (SELECT count(*) FROM public.coding_jobs j
        WHERE j.session_id = s.id AND j.status IN ('pending', 'processing')) AS open_jobs
FROM public.coding_sessions s WHERE id = %(session)s

-- name: session_turn
-- The last turn of a session of this user (NULL: of anybody), and how many prompts wait for the next message. The row of a
-- turn whose job ended without it is running until the next one begins. Index: primary keys, session_inbox_waiting.
SELECT t.turn,
       CASE WHEN t.state = 'running' AND NOT EXISTS (
           SELECT FROM public.coding_jobs j WHERE j.id = t.job_id AND j.status IN ('pending', 'processing'))
            THEN 'abandoned' ELSE t.state END AS turn_state,
       CASE t.state WHEN 'asked' THEN t.question END AS question, t.progress,
       (SELECT count(*) FROM public.session_inbox i WHERE i.session_id = s.id AND i.taken_at IS NULL) AS waiting
FROM public.coding_sessions s
LEFT JOIN LATERAL (SELECT l.* FROM public.session_turns l WHERE l.session_id = s.id ORDER BY l.turn DESC LIMIT 1) t ON true
WHERE s.id = %(session)s AND (%(user)s::uuid IS NULL OR s.user_id = %(user)s::uuid)

-- name: session_usage
-- What the requests of a session used and cost, those of its last turn, and those of its user's day. Index: primary keys,
-- session_requests_of_session, session_requests_of_user.
SELECT r.*, (
    SELECT coalesce(sum(d.cost_usd), 0) FROM public.session_requests d
    WHERE d.user_id = s.user_id AND d.day = (clock_timestamp() AT TIME ZONE 'UTC')::date) AS day_usd
FROM public.coding_sessions s
CROSS JOIN LATERAL (SELECT coalesce(max(t.turn), 0) AS turn FROM public.session_turns t WHERE t.session_id = s.id) l
CROSS JOIN LATERAL (
    SELECT count(*) AS requests, coalesce(sum(q.input_tokens), 0)::bigint AS input_tokens,
           coalesce(sum(q.output_tokens), 0)::bigint AS output_tokens,
           coalesce(sum(q.cache_write_tokens), 0)::bigint AS cache_write_tokens,
           coalesce(sum(q.cache_read_tokens), 0)::bigint AS cache_read_tokens,
           coalesce(sum(q.cost_usd) FILTER (WHERE q.turn = l.turn), 0) AS turn_usd, coalesce(sum(q.cost_usd), 0) AS session_usd
    FROM public.session_requests q WHERE q.session_id = s.id AND q.cost_usd IS NOT NULL) r
WHERE s.id = %(session)s AND (%(user)s::uuid IS NULL OR s.user_id = %(user)s::uuid)

-- name: sandboxes_wanted
-- Of these sessions, whether one has an open job, and whether it is not over or has files that are kept nowhere else, for
-- a day after its end. No row: there is no such session. Index: primary keys, jobs_of_session.
SELECT s.id,
       EXISTS (SELECT FROM public.coding_jobs j WHERE j.session_id = s.id AND j.status IN ('pending', 'processing')) AS working,
       coalesce(s.expires_at > now() - CASE WHEN EXISTS (SELECT FROM public.session_bundles b WHERE b.session_id = s.id)
                                            THEN interval '0' ELSE interval '1 day' END, true) AS kept
FROM public.coding_sessions s WHERE s.id = ANY (%(sessions)s)

-- name: list_sessions
-- The latest sessions, whoever's, behind a place in their list: turns, costs and when something last happened, each looked
-- up for the sessions of the page. Index: coding_sessions_created, session_turns' primary key,
-- session_requests_of_session, session_events_number, jobs_of_session.
SELECT s.id, s.user_id, left(s.initial_prompt, %(cut)s) AS initial_prompt, s.created_at,
       CASE WHEN s.status IN ('pending', 'active', 'paused') AND s.expires_at < now() AND NOT (s.status = 'active' AND EXISTS (
           SELECT FROM public.coding_jobs j WHERE j.session_id = s.id AND j.status IN ('pending', 'processing')))
            THEN 'expired' ELSE s.status END AS status,
       t.turns, r.cost_usd, greatest(s.updated_at, e.created_at) AS active_at
FROM (SELECT l.* FROM public.coding_sessions l
      WHERE (l.created_at, l.id) < (coalesce(%(before_at)s::timestamptz, 'infinity'),
                                    coalesce(%(before_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
      ORDER BY l.created_at DESC, l.id DESC LIMIT %(limit)s) s
CROSS JOIN LATERAL (SELECT coalesce(max(u.turn), 0) AS turns FROM public.session_turns u WHERE u.session_id = s.id) t
CROSS JOIN LATERAL (
    SELECT coalesce(sum(q.cost_usd), 0) AS cost_usd FROM public.session_requests q WHERE q.session_id = s.id) r
LEFT JOIN LATERAL (
    SELECT o.created_at FROM public.session_events o WHERE o.session_id = s.id AND o.seq > 0 ORDER BY o.seq DESC LIMIT 1) e ON true
ORDER BY s.created_at DESC, s.id DESC

-- name: note_operator
-- What an operator did to something that is no job.
INSERT INTO public.operator_audit (action, target, done_by) VALUES (%(action)s, %(target)s, %(by)s)
