"""`mobvibe doctor` over real stores: what is wrong, and the fix."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.cli import doctor
from tests.support.commands import Run, mobvibe
from tests.support.rows import Rows
from tests.support.steps import Steps


class HearsItself:
    """A listener behind a pooler in transaction mode, alone: it hears itself, and nobody else."""

    error = None

    def __init__(self, dsn: str, channel: str, callback: Callable[[str], None]) -> None:
        self.subscribed = threading.Event()

    def start(self) -> None:
        self.subscribed.set()

    def close(self) -> None: ...


def test_the_doctor_lets_another_session_prove_that_notifications_arrive(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor._listen(dsn).state == "ok"

    monkeypatch.setattr(doctor, "Listener", HearsItself)
    assert doctor._listen(dsn).state == "warn"


def test_the_doctor_finds_nothing_wrong_where_nothing_is(run: Run, steps: Steps) -> None:
    steps.add_worker(slots=4)

    said = run("doctor")

    assert said.code == 0, said.out
    assert "FAIL" not in said.out
    for text in ("Postgres ", "up to date", "notifications arrive", "1 alive, 4 slots", "noeviction", "clocks"):
        assert text in said.out


def test_the_doctor_names_what_is_wrong_and_the_fix(run: Run, rows: Rows) -> None:
    rows.add_job(actor="nobody")

    findings = {finding["check"]: finding for finding in json.loads(run("doctor", "--json").out)}

    assert (findings["workers"]["state"], findings["workers"]["fix"]) == (
        "fail",
        "start one: mobvibe worker",
    )
    assert findings["jobs"]["state"] == "warn"


def test_the_doctor_goes_on_where_a_store_is_away(run: Run) -> None:
    said = run("doctor", DATABASE_URL="postgresql://u:geheim@127.0.0.1:9/d", REDIS_URL="redis://:geheim@127.0.0.1:9/0")

    assert said.code == 1
    assert said.out.count("FAIL") == 2
    assert "127.0.0.1:9" in said.out
    assert "geheim" not in said.out + said.err


def test_the_doctor_says_what_is_not_set(tmp_path: Path) -> None:
    said = mobvibe("doctor", cwd=tmp_path)

    assert said.code == 1
    assert said.out.count("FAIL") == 2
