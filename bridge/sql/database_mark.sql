-- database_mark: this database's id and name, by which a namespace in Redis is known to be its own.
SELECT public.mobvibe_database_id() || ' ' || current_database() AS mark
