"""The rights that a separate role for the bridge needs: one list, for the command line and the docs."""

from bridge.postgres.migrations.files import ORIGINAL_FUNCTIONS, private_functions

_TABLES = (
    "coding_jobs", "job_attempts", "job_counts", "workers", "actor_queues", "job_audit", "bulk_operations",
    "coding_sessions", "session_events", "session_streams", "job_notifications", "notification_relay",
    "queue_pauses", "operator_audit",
    "queue_history", "latency_history",
)  # fmt: skip
_SEQUENCES = ("coding_jobs_seq", "session_events_seq")
_NOT_CALLED = frozenset({"guard_job", "mobvibe_close_rights"})  # called by the database and by its owner


def grants(role: str) -> str:
    """The statements that give `role` these rights. The owner of the database runs them."""
    name = '"' + role.replace('"', '""') + '"' if not role.isidentifier() or role != role.lower() else role
    functions = sorted({*private_functions(), *ORIGINAL_FUNCTIONS} - _NOT_CALLED)
    lines = [f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(_TABLES)} TO {name};"]
    lines.append(f"GRANT USAGE ON SEQUENCE {', '.join(_SEQUENCES)} TO {name};")
    lines.append(f"GRANT EXECUTE ON FUNCTION {', '.join(functions)} TO {name};")
    lines.append("-- Where row level security is on: hidden rows are no empty queue.")
    lines.append(f"ALTER ROLE {name} BYPASSRLS;")
    return "\n".join(lines)
