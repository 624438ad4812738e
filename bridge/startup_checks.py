"""What a process asks of the stores before it begins: that they answer, and that the database can serve it."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from bridge.addresses import host_and_port
from bridge.backoff import full_jitter
from bridge.database import Link
from bridge.errors import RightsError, SchemaError, StoreUnavailableError

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 12
T = TypeVar("T")


def patiently(
    attempt: Callable[[], T], *, where: str, tries: int = 10, rest: Callable[[float], object] = time.sleep
) -> T:
    """Call `attempt` until its store answers, saying so each time; raise the last error after `tries`.

    `rest` waits for so many seconds; it raises to end the waiting before that.
    """
    for failures in range(1, tries + 1):
        try:
            return attempt()
        except StoreUnavailableError as error:
            if not error.waiting_helps:
                raise type(error)(f"{error.store} at {where} {error.condition}: {error}") from error
            if failures == tries:
                raise type(error)(f"Cannot reach {error.store} at {where}: {error} (tried {tries} times)") from error
            seconds = 0.2 + full_jitter(failures, base_seconds=0.2, cap_seconds=4.0)
            logger.warning(
                "Cannot reach %s at %s (%s), retry %d/%d in %.1f s", error.store, where, error, failures, tries, seconds
            )
            rest(seconds)
    raise AssertionError("unreachable")


def check_database(dsn: str, *, tries: int = 10, rest: Callable[[float], object] = time.sleep) -> None:
    """Refuse a database that cannot serve us, in one line: unreachable, not migrated, newer, without rights.

    A schema serves the code of the version before and after its own: in a roll-out, and in one that is taken back,
    processes of two versions stand side by side. Waits for one that does not answer, as `patiently` does.
    """
    link = Link(dsn, "check")
    try:
        try:
            rows = patiently(lambda: link.call("check_schema"), where=host_and_port(dsn, 5432), tries=tries, rest=rest)
        except SchemaError as error:
            raise SchemaError("The database is not set up for the bridge. Run: mobvibe migrate up") from error
        found = rows[0]["version"]
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
        lacking = [row["lacking"] for row in link.call("check_rights")]
        if lacking:
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""  # noqa: PLR2004 -- enough to see the kind
            raise RightsError(
                f"The role in DATABASE_URL may not {', '.join(lacking[:3])}{more}. "
                "Use the role that ran the migrations, or grant these."
            )
    finally:
        link.close()


def mark_of_database(dsn: str) -> str:
    """What tells this database from others, for a namespace in Redis to be known by. Raises BridgeError.

    Nothing for a schema that has no such thing yet and serves all the same: then nobody is asked whose it is.
    """
    link = Link(dsn, "check")
    try:
        return str(link.call("database_mark")[0]["mark"])
    except SchemaError:
        return ""
    finally:
        link.close()
