-- Sessions, for the web.

-- name: create_session
-- A session that waits for its first job.
INSERT INTO public.coding_sessions (user_id, project_id, initial_prompt, status, expires_at)
VALUES (%(user)s, %(project)s, %(prompt)s, 'pending', now() + interval '30 minutes')
RETURNING id, expires_at, status

-- name: hold_user
-- Lets no other transaction start a session of this user before this one has ended: both could take the last place.
SELECT pg_advisory_xact_lock(hashtext('mobvibe.sessions'), hashtext(%(user)s::text))

-- name: count_open_sessions
-- How many sessions of a user are open, counted up to %(most)s. Index: coding_sessions_user_id_idx.
SELECT count(*) AS open
FROM (SELECT FROM public.coding_sessions
      WHERE user_id = %(user)s AND status IN ('pending', 'active', 'paused') AND (expires_at IS NULL OR expires_at > now())
      LIMIT %(most)s) s

-- name: session_status
-- One session of this user; no row for anybody else's. Index: primary key.
SELECT id, project_id, initial_prompt, expires_at, started_at, completed_at, error_message, metadata, created_at, updated_at,
       CASE WHEN status IN ('pending', 'active', 'paused') AND expires_at < now() THEN 'expired' ELSE status END AS status
FROM public.coding_sessions WHERE id = %(session)s AND user_id = %(user)s

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
