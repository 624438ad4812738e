-- check_schema: the version of the schema; an unknown function where there is none.
SELECT public.mobvibe_schema_version() AS version
