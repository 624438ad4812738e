"""`enqueue()`: how an application inserts a job, inside its own transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from bridge.postgres.actor_options import attempts_of
from bridge.postgres.json_text import storable_text, to_json
from bridge.postgres.statements import statement

ACTOR_MOST = 200  # characters of an actor's name: the table's limit


class _NamesAnActor(Protocol):
    actor_name: str
    queue_name: str
    options: dict[str, Any]


def _check_numbers(priority: int, max_retries: int | None) -> None:
    def fits(number: object, least: int) -> bool:
        return isinstance(number, int) and not isinstance(number, bool) and least <= number < 2**31

    if not fits(priority, -(2**31)):
        raise ValueError("priority must be a whole number that fits 32 bits")
    if max_retries is not None and not fits(max_retries, 0):
        raise ValueError("max_retries must be a whole number from 0 that fits 32 bits")


def _check_kinds(payload: Any, prompt: Any, run_at: Any) -> None:
    if run_at is not None and not isinstance(run_at, datetime):
        raise ValueError(f"run_at must be a datetime; got {type(run_at).__name__}")
    if run_at is not None and run_at.tzinfo is None:
        raise ValueError("run_at has no time zone: use datetime.now(UTC) + … or a zone of your own")
    if payload is not None and not isinstance(payload, Mapping):
        raise ValueError(f"payload must be a mapping, a JSON object; got {type(payload).__name__}")
    if prompt is not None and not isinstance(prompt, str):
        raise ValueError(f"prompt must be text; got {type(prompt).__name__}")


def enqueue(
    connection: psycopg.Connection[Any],
    actor: str | _NamesAnActor,
    payload: Mapping[str, Any] | None = None,
    *,
    session_id: UUID | str | None = None,
    prompt: str | None = None,
    priority: int = 0,
    run_at: datetime | None = None,
    max_retries: int | None = None,
) -> UUID:
    """Insert a job in the transaction that `connection` has open. Returns the job's id.

    The job exists when that transaction commits, and never if it does not. `actor` is the actor or its
    name; `run_at` must carry a time zone. Raises PayloadError for a payload JSON cannot hold, ValueError
    for the rest.
    """
    if not isinstance(connection, psycopg.Connection):
        raise TypeError(
            f"enqueue() needs a psycopg.Connection, the one your transaction is on; got {type(connection).__name__}"
        )
    named = actor if isinstance(actor, str) else getattr(actor, "actor_name", None)
    if named is None:
        raise TypeError(f"{actor!r} is not an actor: decorate it with @actor, or pass its name")
    if not 0 < len(named) <= ACTOR_MOST or storable_text(named) != named:
        raise ValueError(f"actor must be a name of 1 to {ACTOR_MOST} characters")
    _check_numbers(priority, max_retries)
    _check_kinds(payload, prompt, run_at)
    if isinstance(session_id, str):
        try:
            session_id = UUID(session_id)
        except ValueError:
            raise ValueError("session_id must be a UUID") from None
    known = None if isinstance(actor, str) else actor
    params = {
        "actor": named,
        "queue": known.queue_name if known else None,
        "payload": to_json(payload or {}, "payload"),
        "session_id": session_id,
        "prompt": None if prompt is None else storable_text(prompt),
        "priority": priority,
        "run_at": run_at,
        "max_retries": max_retries if max_retries is not None else (attempts_of(known.options) if known else None),
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement("enqueue"), params).fetchone()
        assert row is not None
        job_id: UUID = row["id"]
        return job_id
