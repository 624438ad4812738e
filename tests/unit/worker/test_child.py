"""A worker process that dies is started again, and one that does not stop is killed."""

import os
import sys
import time
from collections.abc import Iterator

import pytest

from bridge.worker import child as child_module
from bridge.worker.child import Child
from tests.support.waiting import eventually

IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
)


def pid_of(child: Child) -> int:
    assert child._process is not None
    return child._process.pid


@pytest.fixture
def unstoppable() -> Iterator[Child]:
    child = Child([sys.executable, "-c", IGNORES_SIGTERM])
    child.poll()
    yield child
    child.wait(time.monotonic())


def test_an_exit_code_is_reported_once_and_the_process_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "full_jitter", lambda *_, **__: 0.0)
    child = Child([sys.executable, "-c", "raise SystemExit(3)"])

    assert child.poll() is None
    assert eventually(child.poll) == 3
    assert child.poll() is None, "it rests a moment"
    assert eventually(child.poll) == 3
    assert child.died_young
    assert not child.is_steady
    child.wait(time.monotonic())


def test_a_process_that_does_not_stop_in_time_is_killed(unstoppable: Child, caplog: pytest.LogCaptureFixture) -> None:
    pid = pid_of(unstoppable)

    unstoppable.wait(time.monotonic() + 0.1)

    assert ["did not stop in time" in line for line in caplog.messages] == [True]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_of_a_frozen_group_is_killed_and_no_other(
    unstoppable: Child, caplog: pytest.LogCaptureFixture
) -> None:
    unstoppable.kill_if_in({os.getpgid(0)})
    assert caplog.records == []

    unstoppable.kill_if_in({pid_of(unstoppable)})

    assert eventually(unstoppable.poll) == -9
