"""A worker process that dies is started again, and one that does not stop is killed."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from bridge.worker import child as child_module
from bridge.worker.child import Child
from bridge.worker.crash_record import Crash
from tests.support.waiting import eventually

IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
)


def pid_of(child: Child) -> int:
    assert child._process is not None
    return child._process.pid


class Crashes(list[Crash]):
    """What was reported of its worker processes."""


@pytest.fixture
def crashes() -> Crashes:
    return Crashes()


@pytest.fixture
def unstoppable(tmp_path: Path, crashes: Crashes) -> Iterator[Child]:
    child = Child([sys.executable, "-c", IGNORES_SIGTERM], tmp_path / "crash", crashes.append)
    child.poll()
    yield child
    child.wait(time.monotonic())


def test_an_exit_code_is_reported_once_and_the_process_is_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, crashes: Crashes
) -> None:
    monkeypatch.setattr(child_module, "full_jitter", lambda *_, **__: 0.0)
    child = Child([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "crash", crashes.append)

    assert child.poll() is None
    assert eventually(child.poll) == 3
    assert child.poll() is None, "it rests a moment"
    assert eventually(child.poll) == 3
    assert child.died_at_boot
    assert not child.is_steady
    child.wait(time.monotonic())
    assert crashes == []
    assert list(tmp_path.iterdir()) == []


def test_the_record_of_a_crash_is_reported_and_a_new_one_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, crashes: Crashes
) -> None:
    monkeypatch.setattr(child_module, "full_jitter", lambda *_, **__: 0.0)
    script = f"""
from uuid import UUID
from bridge.worker.fatal_ends import watch_ends
record = watch_ends()
record.set_worker(UUID(int=5))
while not __import__("pathlib").Path({str(tmp_path / "gate")!r}).exists():
    pass
record.set_worker(None)
"""
    child = Child([sys.executable, "-c", script], tmp_path / "crash", crashes.append)
    for n in (1, 2):
        eventually(lambda: child.poll() or (child._process and read_worker(tmp_path / "crash")))
        os.kill(pid_of(child), signal.SIGKILL)
        assert eventually(child.poll) == -signal.SIGKILL
        assert [crash.worker for crash in crashes] == [UUID(int=5)] * n

    (tmp_path / "gate").touch()
    eventually(lambda: child.poll() == 0)
    assert len(crashes) == 2, "it has stopped in order"
    child.wait(time.monotonic())


def test_a_crash_is_noticed_before_the_parent_of_the_process_has_ended(tmp_path: Path, crashes: Crashes) -> None:
    """It is started again at once: it had worked, so it will not die for a reason that lies in its start."""
    script = """
import os, time
from uuid import UUID
from bridge.worker.fatal_ends import watch_ends
if os.fork() == 0:
    watch_ends().set_worker(UUID(int=5))
    os._exit(9)
time.sleep(60)  # it does not even wait for its child
"""
    child = Child([sys.executable, "-c", script], tmp_path / "crash", crashes.append)

    assert eventually(child.poll) == -signal.SIGKILL
    assert [crash.worker for crash in crashes] == [UUID(int=5)]
    assert not child.died_at_boot
    eventually(lambda: child.poll() is None and child._process)
    child.wait(time.monotonic())


def read_worker(record: Path) -> bool:
    return record.exists() and any(record.read_bytes()[:16])


def test_only_one_that_lived_for_a_moment_waits_longer_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, crashes: Crashes, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[int] = []

    def no_rest(deaths: int, **_: float) -> float:
        failures.append(deaths)
        return 0.0

    monkeypatch.setattr(child_module, "full_jitter", no_rest)
    child = Child([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "crash", crashes.append)
    for lived_for in (0.0, 0.0, 6.0, 0.0):
        child.poll()
        eventually(lambda: child._process is not None or child.poll())
        child._began -= lived_for
        assert eventually(child.poll) == 3

    assert failures == [1, 2, 0, 1]


def test_a_process_that_does_not_stop_in_time_is_killed(unstoppable: Child, caplog: pytest.LogCaptureFixture) -> None:
    pid = pid_of(unstoppable)

    unstoppable.wait(time.monotonic() + 0.1)

    assert ["did not stop in time" in line for line in caplog.messages] == [True]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_one_that_still_boots_is_killed_at_once(unstoppable: Child) -> None:
    unstoppable.terminate()

    assert eventually(unstoppable.poll) == -signal.SIGKILL


def test_one_that_may_have_jobs_is_told_to_stop(tmp_path: Path, crashes: Crashes) -> None:
    script = """
import signal, sys, time
from uuid import UUID
from bridge.worker.fatal_ends import watch_ends
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
watch_ends().set_worker(UUID(int=5))
time.sleep(60)
"""
    child = Child([sys.executable, "-c", script], tmp_path / "crash", crashes.append)
    eventually(lambda: child.poll() or read_worker(tmp_path / "crash"))

    child.terminate()

    assert eventually(child.poll) == 7


def test_a_process_of_a_frozen_group_is_killed_and_no_other(
    unstoppable: Child, caplog: pytest.LogCaptureFixture
) -> None:
    unstoppable.kill_if_in({os.getpgid(0)})
    assert caplog.records == []

    unstoppable.kill_if_in({pid_of(unstoppable)})

    assert eventually(unstoppable.poll) == -9
