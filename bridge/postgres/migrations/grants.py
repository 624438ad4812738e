"""The rights that a separate role for the bridge needs: one list, for the command line, `deploy/` and the docs."""

from bridge.postgres.migrations.files import ORIGINAL_FUNCTIONS, private_functions
from bridge.postgres.migrations.locks import MigrationError

# No more than the statements of the bridge use: tests read it from their texts. What triggers and functions do as the
# owner (SECURITY DEFINER) needs no right.
_TABLES = {
    "SELECT, INSERT": ("job_attempts", "job_audit", "operator_audit", "session_events", "session_messages"),
    "SELECT, INSERT, UPDATE": (
        "actor_queues", "coding_sessions", "job_search_progress", "notification_relay", "session_calls",
        "session_streams", "session_turns",
    ),
    "SELECT, INSERT, DELETE": ("session_bundles",),
    "SELECT, UPDATE, DELETE": ("job_notifications",),
    "SELECT, INSERT, UPDATE, DELETE": (
        "bulk_operations", "coding_jobs", "idempotency_keys", "job_counts", "job_search", "latency_history",
        "queue_history", "queue_pauses", "session_inbox", "session_requests", "workers",
    ),
}  # fmt: skip
_SEQUENCES = {"USAGE, SELECT": "coding_jobs_seq", "USAGE": "session_events_seq"}
# Functions of triggers, which no role calls; of the owner; of users. `prune_jobs` stays, for bridges of the version
# before.
_NOT_CALLED = frozenset({
    "begin_manual_attempt", "count_changed_jobs", "count_deleted_jobs", "count_new_jobs", "count_no_jobs",
    "delete_attempts_of_jobs", "delete_jobs_of_sessions", "guard_job", "keep_due", "notify_job_status_change",
    "notify_new_job", "number_events", "postpone_event_number", "route_new_job",
    "count_jobs", "mobvibe_close_rights", "recount_jobs",
    "session_events_after",
})  # fmt: skip

_REST = """\
-- The sessions API asks whose a project is, where there are any.
DO {tag} BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute
               WHERE attrelid = to_regclass('public.projects') AND attname = 'user_id') THEN
        GRANT SELECT (id, user_id) ON public.projects TO {name};
    END IF;
END {tag};"""
_BYPASS = """\
-- Where row level security is on: hidden rows are no empty queue.
ALTER ROLE {name} BYPASSRLS;"""


def grants(role: str) -> str:
    """The statements that make `role` one for the bridge. The owner of the database runs them.

    Raises MigrationError for public, which is everybody.
    """
    return rights(role) + "\n" + _BYPASS.format(name=_quoted(role))


def rights(role: str) -> str:
    """Of these, the ones that a later version needs again, which any owner of the tables may run."""
    name = _quoted(role)
    lines = [f"GRANT USAGE ON SCHEMA public TO {name};"]
    lines += [f"GRANT {rights} ON {', '.join(tables)} TO {name};" for rights, tables in _TABLES.items()]
    lines += [f"GRANT {rights} ON SEQUENCE {sequence} TO {name};" for rights, sequence in _SEQUENCES.items()]
    lines.append(f"GRANT EXECUTE ON FUNCTION {', '.join(called_functions())} TO {name};")
    return "\n".join([*lines, _REST.format(name=name, tag=_tag(name))])


def called_functions() -> list[str]:
    return sorted({*private_functions(), *ORIGINAL_FUNCTIONS} - _NOT_CALLED)


def table_rights() -> dict[str, list[str]]:
    """Two lists of the same length: `tables`, and the `rights` that each needs."""
    pairs = [(table, rights) for rights, tables in _TABLES.items() for table in tables]
    return {"tables": [table for table, _ in pairs], "rights": [rights for _, rights in pairs]}


def _tag(name: str) -> str:
    """What a block of text is put between: dollars that the name has would end it, quotes or not."""
    return next(tag for tag in ("$$", *(f"$grants{number}$" for number in range(len(name) + 1))) if tag not in name)


def _quoted(role: str) -> str:
    """Always in quotes: user and current_user are names of roles only then. Raises MigrationError for public."""
    if role == "public":
        raise MigrationError("public is no role: Postgres takes it as everybody. Name the bridge's own role")
    return '"' + role.replace('"', '""') + '"'
