-- server_facts: what kind of Postgres this is, and what time it is there.
SELECT current_setting('server_version_num') AS version_num, clock_timestamp() AS now
