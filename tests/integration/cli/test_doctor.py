"""`mobvibe doctor` over real stores: what is wrong, and the fix."""

import json
from pathlib import Path

from tests.support.commands import Run, mobvibe
from tests.support.rows import Rows
from tests.support.steps import Steps


def test_the_doctor_finds_nothing_wrong_in_a_correct_setup(run: Run, steps: Steps) -> None:
    steps.add_worker(slots=4)

    result = run("doctor")

    assert result.code == 0, result.out
    assert "FAIL" not in result.out
    for text in ("Postgres ", "up to date", "notifications arrive", "1 alive, 4 slots", "noeviction", "clocks"):
        assert text in result.out


def test_the_doctor_names_what_is_wrong_and_the_fix(run: Run, rows: Rows) -> None:
    rows.add_job(actor="nobody")

    findings = {finding["check"]: finding for finding in json.loads(run("doctor", "--json").out)}

    assert (findings["workers"]["state"], findings["workers"]["fix"]) == (
        "fail",
        "start one: mobvibe worker",
    )
    assert findings["jobs"]["state"] == "warn"


def test_the_doctor_continues_when_a_store_is_unreachable(run: Run) -> None:
    result = run(
        "doctor", DATABASE_URL="postgresql://u:geheim@127.0.0.1:9/d", REDIS_URL="redis://:geheim@127.0.0.1:9/0"
    )

    assert result.code == 1
    assert result.out.count("FAIL") == 2
    assert "127.0.0.1:9" in result.out
    assert "geheim" not in result.out + result.err


def test_the_doctor_names_missing_settings(tmp_path: Path) -> None:
    result = mobvibe("doctor", cwd=tmp_path)

    assert result.code == 1
    assert result.out.count("FAIL") == 2
