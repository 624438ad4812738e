"""What a migration leaves open to the web roles: tables, sequences and functions, as the catalog says."""

from tests.support.rows import Rows

_THEIRS = {
    "touch",
    "note_usage",
    "claim_next_job",
    "complete_job",
    "fail_job",
    "get_queue_stats",
    "notify_new_job",
    "notify_job_status_change",
}
# An index calls the last one, as whoever fails a job.
_FOR_ALL = {"mobvibe_schema_version", "mobvibe_database_id", "error_fingerprint"}
# Columns draw their numbers from these, also for an old client's INSERT.
_DRAWN_FROM = {"coding_jobs_seq", "session_events_seq"}


def tables(rows: Rows) -> set[str]:
    """The tables of the host, before a migration."""
    return {
        row["relname"]
        for row in rows.all(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        )
    }


def open_to_the_web(rows: Rows, theirs: set[str]) -> list[str]:
    """Tables and views that are not `theirs`, sequences and functions that `anon` or `authenticated` has a right to."""
    found = rows.all(
        "SELECT r.role || ': ' || c.relname AS name FROM unnest(ARRAY['anon', 'authenticated']) r (role)"
        " CROSS JOIN pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace = 'public'::regnamespace"
        " AND (NOT c.relrowsecurity OR has_any_column_privilege(r.role, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')"
        "      OR has_table_privilege(r.role, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'))"
        " AND c.relname <> ALL (%(theirs)s)"
        " UNION ALL SELECT r.role || ': ' || s.relname FROM unnest(ARRAY['anon', 'authenticated']) r (role)"
        " CROSS JOIN pg_class s WHERE s.relkind = 'S' AND s.relnamespace = 'public'::regnamespace"
        " AND (has_sequence_privilege(r.role, s.oid, 'SELECT, UPDATE')"
        "      OR has_sequence_privilege(r.role, s.oid, 'USAGE') AND s.relname <> ALL (%(drawn)s))"
        " UNION ALL SELECT r.role || ': ' || p.oid::regprocedure FROM unnest(ARRAY['anon', 'authenticated']) r (role)"
        " CROSS JOIN pg_proc p WHERE p.pronamespace = 'public'::regnamespace"
        " AND has_function_privilege(r.role, p.oid, 'EXECUTE') AND p.proname <> ALL (%(functions)s)",
        {"theirs": list(theirs), "drawn": list(_DRAWN_FROM), "functions": list(_THEIRS | _FOR_ALL)},
    )
    return [row["name"] for row in found]
