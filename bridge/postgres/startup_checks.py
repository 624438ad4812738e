"""Checks before a process begins: the store answers, and the database has our schema and grants us our rights."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from bridge.addresses import host_and_port
from bridge.errors import BridgeError, ReadOnlyError, RightsError, SchemaError, StoreUnavailableError
from bridge.postgres.connection_budget import nearest_limit
from bridge.postgres.link import Link
from bridge.postgres.older_schema import unless_missing
from bridge.postgres.read_only import read_only
from bridge.runtime.backoff import full_jitter

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 12  # raised by each release that changes the schema
TRIES = 10  # a quarter of a minute with the rests between them: a store that starts together with us is there by then
_REST_SECONDS, _REST_MOST_SECONDS = 0.2, 4.0  # each is a line in the log, which a person may be reading
_COUNT_TIMEOUT_MS = 2_000  # it only warns: a Postgres that is slower has other troubles
T = TypeVar("T")


def with_retries(
    attempt: Callable[[], T], *, where: str, tries: int = TRIES, rest: Callable[[float], object] = time.sleep
) -> T:
    """Call `attempt` until its store answers. Logs each failure, and raises the last error after `tries`.

    `rest` waits for the given seconds; it may raise to end the wait early.
    """
    for failures in range(1, tries + 1):
        try:
            return attempt()
        except StoreUnavailableError as error:
            if not error.waiting_helps:
                raise type(error)(f"{error.store} at {where} {error.condition}: {error}") from error
            if failures == tries:
                raise type(error)(f"{_what_failed(error, where)}: {error} (tried {tries} times)") from error
            seconds = _REST_SECONDS + full_jitter(
                failures, base_seconds=2 * _REST_SECONDS, cap_seconds=_REST_MOST_SECONDS
            )
            logger.warning(
                "%s (%s), retry %d/%d in %.1f s", _what_failed(error, where), error, failures, tries, seconds
            )
            rest(seconds)
    raise AssertionError("unreachable")


def _what_failed(error: StoreUnavailableError, where: str) -> str:
    if error.condition == StoreUnavailableError.condition:
        return f"Cannot reach {error.store} at {where}"
    return f"{error.store} at {where} {error.condition}"


def check_database(
    dsn: str, *, connections: int = 0, tries: int = TRIES, rest: Callable[[float], object] = time.sleep
) -> None:
    """Refuse a database that cannot serve us, in one line: unreachable, read-only, not migrated, newer, without rights.

    A schema serves the code of the version before and after its own: in a roll-out, and in one that is taken back,
    processes of two versions run side by side. Waits, as `with_retries`, for a database that does not answer or takes
    no writes. Warns if fewer `connections` are free than the process may open.
    """
    link = Link(dsn, "check")
    try:
        try:
            rows = with_retries(lambda: _schema(link), where=host_and_port(dsn, 5432), tries=tries, rest=rest)
        except SchemaError as error:
            raise SchemaError("The database is not set up for the bridge. Run: mobvibe migrate up") from error
        _check_version(rows[0]["version"])
        _check_rights(link)
        _warn_of_few(link, connections)
    finally:
        link.close()


def _schema(link: Link) -> list[dict[str, Any]]:
    if found := read_only(link.call("read_only")):
        link.close()  # this session stays read-only even after the setting is removed
        raise ReadOnlyError(f"{found.why}: {found.fix}")
    return link.call("mobvibe_schema_version")


def _check_version(found: int) -> None:
    if abs(found - SCHEMA_VERSION) == 1:
        advice = "run mobvibe migrate up" if found < SCHEMA_VERSION else "finish the roll-out"
        logger.warning(
            "The database has schema %d, this version is made for %d and works with it: %s",
            found,
            SCHEMA_VERSION,
            advice,
        )
    elif found < SCHEMA_VERSION:
        raise SchemaError(
            f"The database has schema {found}, this version needs {SCHEMA_VERSION}. Run: mobvibe migrate up"
        )
    elif found > SCHEMA_VERSION:
        raise SchemaError(
            f"The database has schema {found}, newer than this version knows ({SCHEMA_VERSION}). "
            "Upgrade mobvibe-bridge."
        )


def _check_rights(link: Link) -> None:
    lacking = [row["lacking"] for row in link.call("check_rights")]
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""  # noqa: PLR2004 -- enough to see the kind
        raise RightsError(
            f"The role in DATABASE_URL may not {', '.join(lacking[:3])}{more}. "
            "Use the role that ran the migrations, or grant these."
        )


def warn_of_few_connections(dsn: str, connections: int) -> None:
    """Log one line if fewer than `connections` are free; none if that is unknown, or Postgres does not answer."""
    link = Link(dsn, "check", statement_timeout_ms=_COUNT_TIMEOUT_MS)
    try:
        _warn_of_few(link, connections)
    finally:
        link.close()


def _warn_of_few(link: Link, connections: int) -> None:
    try:
        limit = nearest_limit(link)
    except BridgeError as error:
        logger.debug("Free connections cannot be counted", extra={"reason": str(error)})
        return
    if limit is not None and limit.free < connections:
        logger.warning(
            "This process opens up to %d connections to Postgres, and %d are free (%s: %d, in use: %d): raise the "
            "limit, or let the processes open fewer: docs/reference/connections.md",
            connections, limit.free, limit.name, limit.most, limit.used,
        )  # fmt: skip


def mark_of_database(dsn: str) -> str:
    """The text that distinguishes this database from others, for the mark in Redis. Raises BridgeError.

    Empty for schema 11, which has none and is supported: then the owner of the namespace is not checked.
    """
    link = Link(dsn, "check")
    try:
        return "".join(row["mark"] for row in unless_missing(lambda: link.call("database_mark")) or [])
    finally:
        link.close()
