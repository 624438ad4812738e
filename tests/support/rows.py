"""Rows, read and written by the test's own plain SQL."""

from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tests.support.waiting import eventually

TABLES = (
    "coding_jobs",
    "coding_sessions",
    "session_events",
    "job_attempts",
    "workers",
    "actor_queues",
    "job_audit",
    "job_notifications",
    "notification_relay",
    "queue_pauses",
    "operator_audit",
    "queue_history",
    "latency_history",
    "idempotency_keys",
    "session_turns",
    "session_messages",
    "session_calls",
    "session_inbox",
    "session_requests",
    "session_bundles",
    "job_search",
    "job_search_progress",
)


class Rows:
    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self.connection = connection

    def all(self, query: str, params: Any = None) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(query, params)
            if cursor.description is None:  # no columns: a command, or a SELECT without columns
                return [{}] * cursor.rowcount if (cursor.statusmessage or "").startswith("SELECT") else []
            return cursor.fetchall()

    def one(self, query: str, params: Any = None) -> dict[str, Any]:
        (row,) = self.all(query, params)
        return row

    def value(self, query: str, params: Any = None) -> Any:
        return next(iter(self.one(query, params).values()))

    def job(self, job_id: UUID) -> dict[str, Any]:
        return self.one("SELECT * FROM coding_jobs WHERE id = %s", [job_id])

    def status(self, job_id: UUID) -> str:
        return str(self.value("SELECT status FROM coding_jobs WHERE id = %s", [job_id]))

    def attempts(self, job_id: UUID) -> list[dict[str, Any]]:
        return self.all("SELECT * FROM job_attempts WHERE job_id = %s ORDER BY fence", [job_id])

    def outcomes(self, job_id: UUID) -> list[str]:
        return [attempt["outcome"] for attempt in self.attempts(job_id)]

    def session(self, session_id: UUID) -> dict[str, Any]:
        return self.one("SELECT * FROM coding_sessions WHERE id = %s", [session_id])

    def clear(self) -> None:
        """Empty tables, as in a new database. Deleting a few rows is quicker than TRUNCATE."""
        self.connection.execute("; ".join(f"DELETE FROM {table}" for table in TABLES))

    def add_session(self, **columns: Any) -> UUID:
        return self._insert("coding_sessions", columns)

    def add_job(self, **columns: Any) -> UUID:
        return self._insert("coding_jobs", columns)

    def _insert(self, table: str, columns: dict[str, Any]) -> UUID:
        names = ", ".join(columns)
        marks = ", ".join("%s" for _ in columns)
        values = [Jsonb(value) if isinstance(value, dict) else value for value in columns.values()]
        what = f"({names}) VALUES ({marks})" if columns else "DEFAULT VALUES"
        job_id: UUID = self.value(f"INSERT INTO {table} {what} RETURNING id", values)
        return job_id


def ended(rows: Rows, job_id: Any) -> dict[str, Any]:
    def job() -> dict[str, Any]:
        row = rows.job(UUID(str(job_id)))
        return row if row["status"] in ("completed", "failed", "cancelled") else {}

    return eventually(job, seconds=20, what=f"the end of {job_id}")


def old_jobs(rows: Rows, count: int) -> list[UUID]:
    return [
        row["id"]
        for row in rows.all(
            "INSERT INTO coding_jobs (status, completed_at)"
            " SELECT 'completed', now() - interval '5 days' FROM generate_series(1, %s) RETURNING id",
            [count],
        )
    ]
