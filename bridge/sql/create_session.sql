-- create_session: a session that waits for its first job.
INSERT INTO public.coding_sessions (user_id, project_id, initial_prompt, status, expires_at)
VALUES (%(user)s, %(project)s, %(prompt)s, 'pending', now() + interval '30 minutes')
RETURNING id, expires_at, status
