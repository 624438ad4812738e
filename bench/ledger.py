"""Checks the rows after a drain of this project: no job lost, one start per attempt, one ending per job."""

from typing import Any

import psycopg

from tests.support.invariants import broken_invariants
from tests.support.rows import Rows


def check_ledger(connection: "psycopg.Connection[Any]", jobs: int) -> None:
    """Raise RuntimeError if some of the `jobs` did not complete, or if a row breaks an invariant."""
    rows = Rows(connection)
    completed = rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'completed'")
    if completed != jobs:
        raise RuntimeError(f"the rows say that {completed} of {jobs} jobs completed")
    broken = broken_invariants(rows)
    if broken:
        raise RuntimeError(
            "; ".join(f"invariant {name!r}: {len(found)} rows, {found[0]}" for name, found in broken.items())
        )
