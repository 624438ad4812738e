-- Sessions and their event stream, created where a database does not have them yet.
-- Safe to run twice; an existing MobVibe database keeps its tables, rows and policies.

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

CREATE TABLE IF NOT EXISTS public.session_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL,
    event_type text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The order of events: one statement stores many, and their times may be equal.
-- Added in two steps, so that a large table is not rewritten; older rows stay NULL and come first.
CREATE SEQUENCE IF NOT EXISTS public.session_events_seq;
ALTER TABLE public.session_events ADD COLUMN IF NOT EXISTS seq bigint;
ALTER TABLE public.session_events ALTER COLUMN seq SET DEFAULT nextval('public.session_events_seq');
CREATE INDEX IF NOT EXISTS session_events_stream ON public.session_events (session_id, seq);

-- Some databases list the allowed event types in a CHECK, and not all that are in use. Types are open.
ALTER TABLE public.session_events DROP CONSTRAINT IF EXISTS session_events_event_type_check;
