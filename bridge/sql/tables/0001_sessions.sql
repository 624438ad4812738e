-- Sessions and their events, created where a database does not have them. Safe to run twice; an existing MobVibe
-- database keeps its tables, rows and policies.

CREATE TABLE IF NOT EXISTS public.coding_sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid,
    project_id uuid,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'active', 'paused', 'completed', 'failed', 'expired')),
    initial_prompt text,
    expires_at timestamptz NOT NULL DEFAULT now() + interval '30 minutes',
    started_at timestamptz,
    completed_at timestamptz,
    error_message text,
    metadata jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS coding_sessions_user_id_idx ON public.coding_sessions (user_id);
CREATE INDEX IF NOT EXISTS coding_sessions_created ON public.coding_sessions (created_at DESC, id DESC);

CREATE TABLE IF NOT EXISTS public.session_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL,
    event_type text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The number of an event in its session, given by triggers/events.sql. Older rows stay NULL, and come first.
CREATE SEQUENCE IF NOT EXISTS public.session_events_seq;
ALTER TABLE public.session_events ADD COLUMN IF NOT EXISTS seq bigint;

-- The last number given to an event of each session. Not a column of coding_sessions: to write there would fire the
-- host's triggers.
CREATE TABLE IF NOT EXISTS public.session_streams (
    session_id uuid PRIMARY KEY,
    last_seq bigint NOT NULL
) WITH (fillfactor = 50);

DO $$ BEGIN
    -- Some databases have a CHECK that lists the event types, and lacks some that are in use. Any type is allowed.
    IF EXISTS (SELECT FROM pg_catalog.pg_constraint c
               WHERE c.conrelid = 'public.session_events'::regclass AND c.conname = 'session_events_event_type_check') THEN
        ALTER TABLE public.session_events DROP CONSTRAINT session_events_event_type_check;
    END IF;
    IF to_regclass('public.session_events_number') IS NULL THEN
        CREATE UNIQUE INDEX session_events_number ON public.session_events (session_id, seq);
    END IF;
    IF to_regclass('public.session_events_unnumbered') IS NULL THEN
        CREATE INDEX session_events_unnumbered ON public.session_events (seq) WHERE seq < 0;
    END IF;
    IF to_regclass('public.session_events_stream') IS NOT NULL THEN -- of the version before, and not unique
        DROP INDEX public.session_events_stream;
    END IF;
END $$;
