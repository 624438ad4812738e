"""Which sandboxes are this database's, and which sessions may still want theirs, for who removes the others."""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from bridge.broker import connected_settings
from bridge.sessions.record import thread_to


class WantedSandboxes(NamedTuple):
    """`working`: they have an open job. `kept`: they are not over, or their files are kept nowhere else, for a day."""

    known: Collection[UUID]
    working: Collection[UUID]
    kept: Collection[UUID]


def database_mark() -> str:
    """The id and the name of this database: what its sandboxes carry where other installations have some, too.

    Raises StoreUnavailableError after 30 s without Postgres.
    """
    thread = thread_to(connected_settings().postgres_dsn())
    return "".join(row["mark"] for row in thread.call(lambda link: link.call("database_mark")))


def wanted_sandboxes(sessions: Collection[UUID]) -> WantedSandboxes:
    """Of these sessions. Raises StoreUnavailableError after 30 s without Postgres."""
    thread = thread_to(connected_settings().postgres_dsn())
    rows = thread.call(lambda link: link.call("sandboxes_wanted", {"sessions": list(sessions)}))
    return WantedSandboxes(
        known={row["id"] for row in rows},
        working={row["id"] for row in rows if row["working"]},
        kept={row["id"] for row in rows if row["kept"]},
    )
