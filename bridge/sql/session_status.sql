-- session_status: one session of one user; nothing for anybody else's. Index: primary key.
SELECT id, project_id, initial_prompt, expires_at, started_at, completed_at, error_message, metadata, created_at, updated_at,
       CASE WHEN status IN ('pending', 'active', 'paused') AND expires_at < now() THEN 'expired' ELSE status END AS status
FROM public.coding_sessions WHERE id = %(session)s AND user_id = %(user)s
