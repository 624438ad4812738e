"""Frozen worker processes are found by their liveness files, after several checks with the same result."""

import os
import time
from pathlib import Path

import pytest

from bridge.runtime import liveness_file
from bridge.worker import frozen as frozen_module
from bridge.worker.frozen import FrozenProcesses

LEASE = 10.0


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_module, "_CHECK_SECONDS", 0.0)


def write(folder: Path, *, silent_seconds: float, stalled: str | None = None) -> None:
    sign = liveness_file.own_sign("worker", "postgresql://h/d", stalled)
    liveness_file.write(liveness_file.path_of(folder, sign), sign, time.monotonic() - silent_seconds)


def test_a_process_silent_for_two_leases_is_found_at_the_third_check(tmp_path: Path) -> None:
    write(tmp_path, silent_seconds=21)
    frozen = FrozenProcesses(tmp_path, LEASE)

    assert [frozen.groups() for _ in range(3)] == [set(), set(), {os.getpgid(0)}]


def test_a_sign_of_life_between_checks_resets_their_count(tmp_path: Path) -> None:
    frozen = FrozenProcesses(tmp_path, LEASE)
    found = []
    for silent_seconds in (21, 21, 0, 21, 21):
        write(tmp_path, silent_seconds=silent_seconds)
        found.append(frozen.groups())

    assert found == [set()] * 5


@pytest.mark.parametrize(("silent_seconds", "stalled"), [(19, None), (100, "consumer of coding")])
def test_a_process_that_is_late_or_reports_a_hanging_loop_itself_is_left_alone(
    tmp_path: Path, silent_seconds: float, stalled: str | None
) -> None:
    write(tmp_path, silent_seconds=silent_seconds, stalled=stalled)
    frozen = FrozenProcesses(tmp_path, LEASE)

    assert [frozen.groups() for _ in range(4)] == [set()] * 4


def test_a_missing_folder_has_no_frozen_process(tmp_path: Path) -> None:
    assert FrozenProcesses(tmp_path / "nowhere", LEASE).groups() == set()
