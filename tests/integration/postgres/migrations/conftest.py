"""Databases of earlier versions."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.support import legacy
from tests.support.rows import Rows

# What later versions of MobVibe, and an adopter, add to the three tables.
ADDITIONS = """
ALTER TABLE coding_sessions ADD COLUMN resumable boolean DEFAULT false, ADD COLUMN sandbox_id text;
ALTER TABLE coding_jobs ADD COLUMN tenant text DEFAULT 'none', SET (autovacuum_vacuum_scale_factor = 0.1);
CREATE INDEX idx_sessions_resumable ON coding_sessions (user_id) WHERE resumable;
CREATE INDEX coding_sessions_user_id_idx ON coding_sessions (user_id);
CREATE POLICY "own jobs" ON coding_jobs FOR SELECT USING (session_id IS NOT NULL);
CREATE POLICY "insert events" ON session_events FOR INSERT WITH CHECK (true);
ALTER TABLE session_events REPLICA IDENTITY FULL;
CREATE PUBLICATION supabase_realtime FOR TABLE coding_jobs, session_events;
COMMENT ON FUNCTION claim_next_job() IS 'Theirs';
ALTER FUNCTION complete_job SECURITY DEFINER SET search_path = public;
CREATE FUNCTION claim_next_job(kind text) RETURNS void LANGUAGE sql AS '';
GRANT EXECUTE ON FUNCTION fail_job TO anon, authenticated WITH GRANT OPTION;
REVOKE EXECUTE ON FUNCTION get_queue_stats FROM PUBLIC;
GRANT EXECUTE ON FUNCTION get_queue_stats TO authenticated, service_role;
GRANT SELECT ON coding_jobs TO anon;
GRANT SELECT, INSERT ON coding_jobs TO service_role;
"""


@pytest.fixture
def old(empty_dsn: str) -> Iterator[Rows]:
    """A MobVibe database as the Node worker used it."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(legacy.SCHEMA + legacy.session_events("data", checked=True))
        yield rows


@pytest.fixture(params=["data", "event_data"])
def supabase(request: pytest.FixtureRequest, web_roles: None, empty_dsn: str) -> Iterator[Rows]:
    """A MobVibe database on Supabase, with all that it may have beside the original tables."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(legacy.GENEROUS_DEFAULTS if request.param == "data" else "SELECT")
        rows.all(legacy.SCHEMA + legacy.session_events(request.param, checked=request.param == "data") + ADDITIONS)
        if request.param == "event_data":
            rows.all("ALTER TABLE coding_jobs DISABLE ROW LEVEL SECURITY, DISABLE TRIGGER on_job_created")
            rows.all("DROP FUNCTION get_queue_stats")
        yield rows
