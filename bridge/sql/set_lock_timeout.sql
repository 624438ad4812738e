-- set_lock_timeout: how long this session waits for a lock from now on, and how long it did before.
SELECT current_setting('lock_timeout') AS previous, set_config('lock_timeout', %(value)s, false)
