-- read_only: why this session may write nothing: the server is a standby, or a setting and where it is made. No row
-- where it may.
SELECT pg_is_in_recovery() AS is_standby, s.source
FROM pg_catalog.pg_settings s
WHERE s.name = 'default_transaction_read_only' AND current_setting('transaction_read_only') = 'on'
