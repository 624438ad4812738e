-- Turns of coding sessions: the conversation with the model, its tool calls, what the user sends meanwhile, and what it
-- costs. A turn is the work of one job; see functions/turns.sql. They are not columns of coding_sessions: to write there
-- fires the host's triggers. All is private: the events of a session are what its user may see.

-- `fence` is that of the attempt that runs the turn, or ran it last.
CREATE TABLE IF NOT EXISTS public.session_turns (
    session_id uuid NOT NULL,
    turn integer NOT NULL CHECK (turn > 0),
    job_id uuid NOT NULL,
    fence bigint NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'finished', 'asked', 'answered', 'abandoned')),
    question jsonb,
    answer text,
    progress real CHECK (progress BETWEEN 0 AND 1),
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    PRIMARY KEY (session_id, turn),
    UNIQUE (job_id)
);
COMMENT ON COLUMN public.session_turns.state IS
    'asked: it ended with a question that is open; abandoned: its job ended before it, or the user went on without an answer';
-- A session runs one turn at a time, and has one open question.
CREATE UNIQUE INDEX IF NOT EXISTS session_turns_open ON public.session_turns (session_id) WHERE state IN ('running', 'asked');

-- `content` is json, not jsonb: what the model wrote goes back to it unchanged.
CREATE TABLE IF NOT EXISTS public.session_messages (
    session_id uuid NOT NULL,
    "position" integer NOT NULL CHECK ("position" >= 0),
    begins boolean NOT NULL DEFAULT false,
    turn integer NOT NULL,
    job_id uuid NOT NULL,
    fence bigint NOT NULL,
    role text NOT NULL CHECK (role IN ('user', 'assistant')),
    content json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, "position")
);
COMMENT ON COLUMN public.session_messages.begins IS 'The conversation begins here: what came before was replaced by a summary';
CREATE INDEX IF NOT EXISTS session_messages_begin ON public.session_messages (session_id, "position") WHERE begins;

CREATE TABLE IF NOT EXISTS public.session_calls (
    session_id uuid NOT NULL,
    call_id text NOT NULL,
    "position" integer NOT NULL,
    turn integer NOT NULL,
    tool text NOT NULL,
    input json NOT NULL,
    started_fence bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_fence bigint,
    finished_at timestamptz,
    result json,
    PRIMARY KEY (session_id, call_id)
);
COMMENT ON COLUMN public.session_calls."position" IS 'That of the message which asks for it, the last one when it started';
CREATE INDEX IF NOT EXISTS session_calls_of_message ON public.session_calls (session_id, "position");

CREATE TABLE IF NOT EXISTS public.session_inbox (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id uuid NOT NULL,
    prompt text NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    taken_at timestamptz,
    job_id uuid
);
COMMENT ON COLUMN public.session_inbox.job_id IS 'The job whose turn has it in its conversation';
CREATE INDEX IF NOT EXISTS session_inbox_waiting ON public.session_inbox (session_id, number) WHERE taken_at IS NULL;

-- A row per request to the model. `cost_usd` is NULL while the request is made: until then `reserved_usd` counts. Rows stay
-- when their session is deleted, since a day's budget is for all sessions of a user.
CREATE TABLE IF NOT EXISTS public.session_requests (
    id uuid PRIMARY KEY,
    user_id uuid,
    day date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
    session_id uuid NOT NULL,
    turn integer NOT NULL,
    job_id uuid NOT NULL,
    fence bigint NOT NULL,
    reserved_usd numeric NOT NULL CHECK (reserved_usd >= 0),
    cost_usd numeric CHECK (cost_usd >= 0),
    model text,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    cache_read_tokens bigint NOT NULL DEFAULT 0,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS session_requests_of_user ON public.session_requests (user_id, day);
CREATE INDEX IF NOT EXISTS session_requests_of_session ON public.session_requests (session_id, turn);
