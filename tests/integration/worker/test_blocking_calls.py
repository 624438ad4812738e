"""A call that blocks where no interrupt reaches it ends when its job is cancelled, by the function given for that."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from bridge import Job, actor
from bridge.worker.blocking_calls import BlockingCalls
from bridge.worker.interrupts import JobCancelledError, WorkerStoppingError
from bridge.worker.runs import Runs
from tests.support.fleet import Add, NewFleet, finished
from tests.support.rows import Rows
from tests.support.runs import new_run
from tests.support.waiting import eventually


@dataclass
class SilentPeer:
    """The other end of a connection: it says nothing, and notices when ours is shut."""

    ours: socket.socket
    theirs: socket.socket
    reading: threading.Event = field(default_factory=threading.Event)
    raised: list[str] = field(default_factory=list)

    def read(self) -> bytes:
        self.reading.set()
        return self.ours.recv(1)

    def shut(self) -> None:
        self.ours.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def peer() -> Iterator[SilentPeer]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield SilentPeer(ours, theirs)


def declare_reader(peer: SilentPeer, time_limit: float = 600_000) -> None:
    @actor(queue_name="tests", time_limit=time_limit)
    def read_silent_socket(job: Job) -> None:
        try:
            with job.interruptible(peer.shut):
                peer.read()
                raise OSError("the read ended, and nothing interrupted the actor")
        except BaseException as error:
            peer.raised.append(type(error).__name__)
            raise


def test_a_cancel_ends_a_read_of_a_silent_socket(new_fleet: NewFleet, rows: Rows, add: Add, peer: SilentPeer) -> None:
    fleet = new_fleet()
    declare_reader(peer)
    fleet.start()
    job_id = add("read_silent_socket")
    assert peer.reading.wait(10)

    began = time.monotonic()
    rows.all("SELECT cancel_job(%s)", [job_id])
    eventually(lambda: peer.raised, seconds=3, what="the end of the read")

    assert time.monotonic() - began < 1, "without an end function it lasts until the process ends"
    assert peer.raised == ["JobCancelledError"]
    assert finished(rows, job_id)["status"] == "cancelled"


def test_a_stopping_worker_ends_a_read_of_a_silent_socket(
    new_fleet: NewFleet, rows: Rows, add: Add, peer: SilentPeer
) -> None:
    fleet = new_fleet(shutdown_timeout_ms=100)
    declare_reader(peer)
    fleet.start()
    job_id = add("read_silent_socket")
    assert peer.reading.wait(10)

    fleet.workers.pop().stop(5_000)

    assert peer.raised == ["WorkerStoppingError"]
    assert rows.outcomes(job_id)[0] == "released"


def test_a_time_limit_ends_a_read_of_a_silent_socket(
    new_fleet: NewFleet, rows: Rows, add: Add, peer: SilentPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.worker.runs._LIMIT_MARGIN_SECONDS", 0.5)
    fleet = new_fleet(lease_ms=3000)
    declare_reader(peer, time_limit=100)
    fleet.start()

    add("read_silent_socket", max_retries=1)
    eventually(lambda: peer.raised, what="the end of the read")

    assert peer.raised == ["TimeLimitExceeded"]


def test_an_end_function_that_blocks_or_raises_harms_nobody(
    new_fleet: NewFleet, rows: Rows, add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    fleet, may_return, inside = new_fleet(), threading.Event(), threading.Event()

    @actor(queue_name="tests")
    def badly_ended(job: Job) -> None:
        def fail() -> None:
            raise ValueError("no such socket")

        with job.interruptible(lambda: may_return.wait(30)), job.interruptible(fail):
            inside.set()
            while True:
                time.sleep(0.01)

    fleet.start()
    job_id = add("badly_ended")
    assert inside.wait(10)

    with caplog.at_level(logging.ERROR):
        rows.all("SELECT cancel_job(%s)", [job_id])
        assert finished(rows, job_id)["status"] == "cancelled"

    may_return.set()
    (line,) = [one for one in caplog.records if "interruptible" in one.getMessage()]
    assert line.getMessage() == "The end function of an interruptible call failed"
    assert line.exc_info


def test_an_end_function_is_not_called_while_it_still_runs(caplog: pytest.LogCaptureFixture) -> None:
    calls, run, begun, may_return = BlockingCalls(), new_run(), [0], threading.Event()

    def end() -> None:
        begun[0] += 1
        may_return.wait(10)

    with calls.interruptible(end), caplog.at_level(logging.ERROR):
        for _ in range(3):
            calls.end(run.log_fields)
        assert begun == [1]
        may_return.set()

        def is_called_again() -> bool:
            calls.end(run.log_fields)
            return begun == [2]

        eventually(is_called_again)

    assert [one.getMessage() for one in caplog.records] == ["The end function of an interruptible call does not return"]


def test_after_the_block_nothing_is_ended() -> None:
    runs, run, ended = Runs(), new_run(), []
    runs.add([run])
    with run.blocking_calls.interruptible(lambda: ended.append(1)):
        pass

    runs.interrupt(run.key.exec, JobCancelledError)
    runs.interrupt(run.key.exec, WorkerStoppingError)

    assert not run.blocking_calls
    assert ended == []
