"""Changes of many rows, a range of ids at a time: the locks of each transaction are held for a moment only."""

import time
from functools import partial
from typing import Any

from bridge.postgres.connection import Connection
from bridge.postgres.migrations.locks import with_lock_retries

_BATCH = 5_000  # rows in one transaction, so that their locks are held for a moment only
_PACED_BATCH, _PACE_SECONDS = 500, 0.25  # rows, and the rest after them, if subscribers have to follow each change


class Pace:
    """How many rows a transaction changes, and the rest after it: subscribers of a published table get each row."""

    def __init__(self, connection: Connection, table: str) -> None:
        self._is_paced = value(
            connection,
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_publication_tables p"
            " WHERE p.schemaname = 'public' AND p.tablename = %(table)s)",
            {"table": table},
        )
        self.rows = _PACED_BATCH if self._is_paced else _BATCH

    def rest(self) -> None:
        if self._is_paced:
            time.sleep(_PACE_SECONDS)


def change_in_batches(
    connection: Connection, name: str, update: str, pace: Pace, *, quiet: str = "", again: str = "mobvibe migrate up"
) -> int:
    """Run an UPDATE of coding_jobs that ends with its WHERE. Returns how many rows it changed. Raises MigrationError.

    `quiet` is run first in each transaction. `again` is the command to repeat after an error.
    """
    text = update.strip().removesuffix(";") + " AND id > %(after)s AND id <= %(last)s"
    after, changed = "00000000-0000-0000-0000-000000000000", 0
    while last := value(
        connection,
        "SELECT s.id FROM (SELECT id FROM public.coding_jobs WHERE id > %(after)s ORDER BY id LIMIT %(size)s) s"
        " ORDER BY s.id DESC LIMIT 1",
        {"after": after, "size": pace.rows},
    ):
        bounds = {"after": after, "last": last}
        rows = with_lock_retries(connection, name, partial(change, connection, text, bounds, quiet=quiet), again=again)
        changed += rows
        after = last
        if rows:
            pace.rest()
    return changed


def change(connection: Connection, text: str, params: dict[str, Any], *, quiet: str = "") -> int:
    """Run a statement after `quiet`, which keeps the host's triggers from firing, if this role may."""
    if quiet:
        run(connection, quiet)
    return run(connection, text, params)


def run(connection: Connection, text: str, params: dict[str, Any] | None = None) -> int:
    """Run a statement from our files; returns how many rows it changed."""
    return connection.execute(text, params).rowcount


def value(connection: Connection, text: str, params: dict[str, Any] | None = None) -> Any:
    """The first column of the first row, or None."""
    row = connection.execute(text, params).fetchone()
    return None if row is None else next(iter(row.values()))
