"""Waits until another process has applied the migrations: for what starts beside it, and needs them."""

import time
from collections.abc import Callable

from bridge.errors import SchemaError, StoreUnavailableError
from bridge.postgres.connect import connect
from bridge.postgres.errors import translate_postgres_errors
from bridge.postgres.migrations.files import pending
from bridge.postgres.migrations.plan import schema_version

_REST_SECONDS = 1.0  # a rollout takes longer than that anyway, and a hundred waiting processes ask a hundred times


def wait_for_schema(dsn: str, seconds: float, tell: Callable[[str], object]) -> None:
    """Return when the schema is that of this version or a later one. Only reads. Tells what it waits for, once each.

    Raises SchemaError, or the error of an unreachable Postgres, when that takes longer than `seconds`.
    """
    until, told = time.monotonic() + seconds, ""
    while (problem := _problem(dsn)) is not None:
        if time.monotonic() >= until:
            raise problem
        if str(problem) != told:
            told = str(problem)
            tell(f"Waiting: {told}")
        time.sleep(_REST_SECONDS)


def _problem(dsn: str) -> SchemaError | StoreUnavailableError | None:
    try:
        with connect(dsn, "migrate") as connection, translate_postgres_errors():
            missing = pending(schema_version(connection))
    except SchemaError:  # a later version, which an older image that comes back finds: its process says if it can go on
        return None
    except StoreUnavailableError as error:
        if not error.waiting_helps:
            raise
        return error
    return SchemaError(f"{len(missing)} migrations are missing: run mobvibe migrate up") if missing else None
