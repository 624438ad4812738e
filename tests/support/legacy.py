"""A MobVibe database as the Node worker used it, in the variants that matter for adoption."""

from uuid import UUID, uuid4

from tests.support.rows import Rows

# The roles of Supabase, without a login.
ROLES = "CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role BYPASSRLS;"
NO_ROLES = "DROP ROLE IF EXISTS anon, authenticated, service_role;"
GENEROUS_DEFAULTS = """
GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
"""

SCHEMA = """
CREATE TABLE projects (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id uuid NOT NULL);
CREATE TABLE coding_sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    project_id uuid NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    status text DEFAULT 'pending'
        CHECK (status IN ('pending', 'active', 'paused', 'completed', 'failed', 'expired')),
    initial_prompt text NOT NULL,
    expires_at timestamptz NOT NULL,
    started_at timestamptz, completed_at timestamptz, error_message text, metadata jsonb,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
);
CREATE TABLE coding_jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL REFERENCES coding_sessions (id) ON DELETE CASCADE,
    prompt text NOT NULL,
    status text DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    priority integer DEFAULT 0, retry_count integer DEFAULT 0, max_retries integer DEFAULT 3,
    error_message text, started_at timestamptz, completed_at timestamptz,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
);
ALTER TABLE coding_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE coding_jobs ENABLE ROW LEVEL SECURITY;
CREATE INDEX coding_jobs_session_id_idx ON coding_jobs (session_id);
CREATE INDEX coding_jobs_status_priority_idx ON coding_jobs (status, priority DESC, created_at ASC);

-- The host's own triggers: they trust in the usual search_path.
CREATE TABLE session_usage (session_id uuid, seconds integer);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$;
CREATE FUNCTION note_usage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO session_usage VALUES (NEW.id, 0); RETURN NEW; END $$;
CREATE TRIGGER touch_jobs BEFORE UPDATE ON coding_jobs FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER note_usage AFTER UPDATE ON coding_sessions FOR EACH ROW
    WHEN (OLD.status = 'active' AND NEW.status IN ('completed', 'failed')) EXECUTE FUNCTION note_usage();

-- The old functions and row triggers, as far as their signatures go.
CREATE FUNCTION claim_next_job() RETURNS TABLE (job_id uuid, session_id uuid, prompt text, priority integer)
    LANGUAGE plpgsql AS $$ BEGIN RETURN; END $$;
CREATE FUNCTION complete_job(job_id_param uuid) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE FUNCTION fail_job(job_id_param uuid, error_msg text) RETURNS boolean LANGUAGE plpgsql
    AS $$ BEGIN RETURN true; END $$;
CREATE FUNCTION get_queue_stats() RETURNS TABLE (pending_count bigint, processing_count bigint,
    completed_count bigint, failed_count bigint, oldest_pending_age interval)
    LANGUAGE plpgsql AS $$ BEGIN RETURN; END $$;
CREATE FUNCTION notify_new_job() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_notify('new_job', NEW.id::text); RETURN NEW; END $$;
CREATE FUNCTION notify_job_status_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER on_job_created AFTER INSERT ON coding_jobs FOR EACH ROW EXECUTE FUNCTION notify_new_job();
CREATE TRIGGER on_job_status_changed AFTER UPDATE ON coding_jobs
    FOR EACH ROW EXECUTE FUNCTION notify_job_status_change();
"""


def session_events(json_column: str, *, checked: bool) -> str:
    """The event table in one of its two variants."""
    check = "CHECK (event_type IN ('thinking', 'terminal', 'completion', 'error'))" if checked else ""
    return f"""
    CREATE TABLE session_events (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        session_id uuid NOT NULL REFERENCES coding_sessions (id) ON DELETE CASCADE,
        event_type text NOT NULL {check},
        {json_column} jsonb NOT NULL,
        created_at timestamptz DEFAULT now()
    );
    ALTER TABLE session_events ENABLE ROW LEVEL SECURITY;
    CREATE POLICY "write events" ON session_events FOR ALL USING (true);
    CREATE POLICY "read own events" ON session_events FOR SELECT USING (session_id IS NOT NULL);
    """


def session_of(rows: Rows) -> UUID:
    project = rows.value("INSERT INTO projects (user_id) VALUES (gen_random_uuid()) RETURNING id")
    return rows.add_session(user_id=uuid4(), project_id=project, initial_prompt="p", expires_at="2999-01-01")


def fill(rows: Rows, count: int, status: str = "completed") -> None:
    rows.all(
        "INSERT INTO coding_jobs (session_id, prompt, status, created_at)"
        " SELECT %s, 'p', %s, '2026-01-01'::timestamptz + n * interval '1 s' FROM generate_series(1, %s) n",
        [session_of(rows), status, count],
    )
