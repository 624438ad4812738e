-- Keys that clients gave to start requests, for a day: a request that is sent again gets the answer of the first. Written in
-- the transaction that inserts the session and its job.
CREATE TABLE IF NOT EXISTS public.idempotency_keys (
    user_id uuid NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash bytea NOT NULL,
    answer json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id, key)
);
COMMENT ON COLUMN public.idempotency_keys.request_hash IS 'SHA-256 of what was asked for: the same key for anything else is a mistake';
CREATE INDEX IF NOT EXISTS idempotency_keys_age ON public.idempotency_keys (created_at);
