-- add_session_events: see migrations/0008_events.sql
SELECT public.add_session_events(%(events)s::uuid[], %(ids)s::uuid[], %(execs)s::uuid[], %(types)s::text[], %(data)s::text[]::jsonb[]) AS stored
