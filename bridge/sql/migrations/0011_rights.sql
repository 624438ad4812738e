-- Who may do what, for objects of all files: mobvibe_close_rights() in 0001_sessions.sql says it.
DO $do$ BEGIN PERFORM public.mobvibe_close_rights(); END $do$;
