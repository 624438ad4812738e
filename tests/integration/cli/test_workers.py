"""`mobvibe workers`: showing, draining and resuming worker processes."""

import json
from uuid import uuid4

import pytest

from tests.support.commands import Run
from tests.support.rows import Rows
from tests.support.steps import Steps


def test_a_worker_is_shown_drained_and_resumed(run: Run, rows: Rows, steps: Steps) -> None:
    assert "mobvibe worker" in run("workers").err
    worker = steps.add_worker(slots=3)

    said = run("workers", "drain", str(worker), "--reason", "an upgrade").out

    assert said.startswith(f"{worker} takes no more jobs from its next heartbeat on")
    (shown,) = json.loads(run("workers", "--json").out)
    assert (shown["id"], shown["live"], shown["busy"], shown["slots"]) == (str(worker), True, 0, 3)
    assert shown["drain_requested_at"]
    assert run("workers", "resume", str(worker)).out == f"{worker} takes jobs from its next heartbeat on\n"
    (shown,) = json.loads(run("workers", "--json").out)
    assert shown["drain_requested_at"] is None
    assert rows.value("SELECT array_agg(reason) FROM operator_audit") == ["an upgrade", None]


@pytest.mark.parametrize("action", ["drain", "resume"])
def test_a_worker_that_is_not_registered_is_named(run: Run, rows: Rows, action: str) -> None:
    unknown = uuid4()

    result = run("workers", action, str(unknown))

    assert result.code == 1
    assert result.err == f"mobvibe: No worker {unknown} is registered now: mobvibe workers shows them\n"
