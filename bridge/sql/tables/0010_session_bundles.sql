-- The snapshots of a session's workspace: Git bundles, each from the commit before to `commit`. The first has no base. They
-- are private: secrets in files are in them as they are.
CREATE TABLE IF NOT EXISTS public.session_bundles (
    session_id uuid NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    base text,
    commit text NOT NULL,
    data bytea NOT NULL,
    job_id uuid NOT NULL,
    fence bigint NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, number)
);
-- Git has compressed them.
ALTER TABLE public.session_bundles ALTER COLUMN data SET STORAGE EXTERNAL;
