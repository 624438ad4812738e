"""Which tables and functions of a migration a web role can use."""

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


def tables(rows: Rows) -> set[str]:
    """The tables of the host, before a migration."""
    return {
        row["relname"]
        for row in rows.all(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
    }


def open_to_the_web(rows: Rows, theirs: set[str]) -> list[str]:
    """Tables that are not `theirs`, and new functions, that `anon` can use."""
    found = rows.all(
        "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND (NOT relrowsecurity OR has_table_privilege('anon', oid, 'SELECT, INSERT, UPDATE, DELETE'))"
        " AND relname <> ALL (%s) UNION ALL"
        " SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND has_function_privilege('anon', oid, 'EXECUTE') AND proname <> ALL (%s)",
        [list(theirs), list(_THEIRS | _FOR_ALL)],
    )
    return [row["name"] for row in found]
