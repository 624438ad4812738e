-- session_events: the latest events of a session, newest first. Index: session_events_number.
SELECT id, event_type, data, created_at FROM public.get_session_events(%(session)s, %(limit)s)
