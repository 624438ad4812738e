"""The three small machines with threads: Loop, GroupCommit and Runs."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from uuid import uuid4

import pytest
from dramatiq.middleware import Interrupt, raise_thread_exception

from bridge.attempts import Held
from bridge.errors import PostgresBusyError, PostgresUnavailableError, UnfitSessionError
from bridge.group_commit import GroupCommit
from bridge.job import Attempt, Job
from bridge.loop import Loop
from bridge.worker.runs import LeaseLostError, Run, Runs, WorkerStoppingError
from tests.support.waiting import eventually

AN_HOUR = 3600.0


@pytest.fixture
def steps() -> list[float]:
    return []


def counting(steps: list[float], rest: float) -> Callable[[], float]:
    def step() -> float:
        steps.append(rest)
        return rest

    return step


def test_a_loop_steps_until_it_is_stopped(steps: list[float]) -> None:
    loop = Loop("test", counting(steps, 0.0))
    loop.start()
    eventually(lambda: len(steps) > 10)

    loop.stop()

    assert loop.join(5)


def test_a_wake_cuts_the_rest_short(steps: list[float]) -> None:
    loop = Loop("test", counting(steps, AN_HOUR))
    loop.start()
    for count in range(1, 4):
        eventually(lambda: len(steps) == count)  # noqa: B023 -- called at once
        loop.wake()
    loop.stop()
    assert loop.join(5)


def test_a_wake_during_a_step_is_not_lost() -> None:
    inside, go_on, steps = threading.Event(), threading.Event(), []

    def step() -> float:
        steps.append(1)
        inside.set()
        go_on.wait(5)
        return AN_HOUR

    loop = Loop("test", step)
    loop.start()
    assert inside.wait(5)
    loop.wake()
    go_on.set()

    eventually(lambda: len(steps) == 2)
    loop.stop()
    assert loop.join(5)


def test_a_store_that_is_down_is_told_once_and_once_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    down = True

    def step() -> float:
        if down:
            raise PostgresUnavailableError("refused")
        return AN_HOUR

    loop = Loop("dispatcher", step)
    assert all(0 < loop.run_once() < 3 for _ in range(20))
    down = False
    assert loop.run_once() == AN_HOUR
    assert loop.run_once() == AN_HOUR

    assert [record.getMessage() for record in caplog.records] == [
        "Postgres is unreachable, trying again until it is over",
        "dispatcher works again",
    ]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PostgresUnavailableError("gone"), "Postgres is unreachable, trying again"),
        (PostgresBusyError("lock timeout"), "Postgres is busy, trying again"),
        (UnfitSessionError("read-only"), "Postgres does not serve this session, trying again"),
    ],
)
def test_trouble_is_called_what_it_is(caplog: pytest.LogCaptureFixture, error: Exception, text: str) -> None:
    def step() -> float:
        raise error

    Loop("test", step).run_once()

    assert text in caplog.text


def test_a_step_that_fails_does_not_end_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    def step() -> float:
        raise ZeroDivisionError

    assert Loop("test", step).run_once() > 0
    assert "test failed and goes on" in caplog.text


class Sink:
    """A store that can be closed, and that refuses one item."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.groups: list[list[int]] = []
        self.down = False
        self.refuses: int | None = None

    def write(self, items: Sequence[int]) -> None:
        self.open.wait(10)
        if self.down:
            raise PostgresUnavailableError("refused")
        if self.refuses in items:
            raise ValueError(self.refuses)
        self.groups.append(list(items))

    @property
    def written(self) -> list[int]:
        return [item for group in self.groups for item in group]


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def commit(sink: Sink) -> GroupCommit[int]:
    commit = GroupCommit[int]("reports", sink.write, group_size=10)
    commit.start()
    return commit


def test_what_waits_goes_out_together_and_in_order(sink: Sink, commit: GroupCommit[int]) -> None:
    sink.open.clear()
    for item in range(25):
        commit.submit(item)
    sink.open.set()

    assert commit.close(5) == 0

    assert sink.written == list(range(25))
    assert len(sink.groups) <= 4
    assert max(map(len, sink.groups)) == 10


def test_items_wait_for_a_store_that_is_away(
    sink: Sink, commit: GroupCommit[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sink.down = True
    commit.submit(1)
    commit.submit(2)
    eventually(lambda: "they wait" in caplog.text)
    commit.submit(3)
    sink.down = False

    eventually(lambda: sink.written == [1, 2, 3])
    assert commit.close(5) == 0
    assert [record.getMessage() for record in caplog.records] == [
        "Postgres does not take the reports, they wait",
        "Reports are written again",
    ]


def test_a_refused_item_does_not_hold_up_the_others(
    sink: Sink, commit: GroupCommit[int], caplog: pytest.LogCaptureFixture
) -> None:
    sink.refuses = 2
    sink.open.clear()
    commit.submit(1)
    commit.submit(2)
    commit.submit(3)
    sink.open.set()

    assert commit.close(5) == 0

    assert sink.written == [1, 3]
    assert "One of the reports met a bug" in caplog.text


def test_closing_gives_up_in_time_and_counts_what_is_lost(sink: Sink, commit: GroupCommit[int]) -> None:
    sink.down = True
    commit.submit(1)
    commit.submit(2)
    commit.submit(3)
    began = time.monotonic()

    assert commit.close(0.3) == 3

    assert time.monotonic() - began < 3


def test_a_full_queue_makes_its_callers_wait(sink: Sink) -> None:
    commit = GroupCommit[int]("reports", sink.write, capacity=2)
    commit.start()
    sink.open.clear()
    commit.submit(1)
    commit.submit(2)
    blocked = threading.Thread(target=commit.submit, args=(3,))
    blocked.start()
    blocked.join(0.1)
    assert blocked.is_alive()

    sink.open.set()

    blocked.join(5)
    assert commit.close(5) == 0
    assert sink.written == [1, 2, 3]


def new_run() -> Run:
    job = Job(id=uuid4())
    held = Held(job.id, 1, uuid4())
    assert held.exec is not None
    return Run(held, Attempt(job, held.exec, "coding", "x"))


class ActorThread:
    """A thread inside an actor that an interrupt can reach."""

    def __init__(self, runs: Runs, run: Run, body: Callable[[], object]) -> None:
        self.raised: BaseException | None = None
        self.came_out = False
        self.inside = threading.Event()
        self.at_the_door = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(runs, run, body))
        self._thread.start()

    @property
    def ident(self) -> int:
        assert self._thread.ident is not None
        return self._thread.ident

    def _run(self, runs: Runs, run: Run, body: Callable[[], object]) -> None:
        try:
            runs.enter(run)
            self.inside.set()
            body()
            self.at_the_door.set()
            runs.leave(run)
            for _ in range(1000):
                time.sleep(0)
            self.came_out = True
        except Interrupt as error:
            self.raised = error

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()


def busy() -> None:
    while True:
        time.sleep(0.001)


def test_a_running_actor_is_interrupted_in_its_thread() -> None:
    runs, run = Runs(), new_run()
    runs.add([run])
    thread = ActorThread(runs, run, busy)
    assert thread.inside.wait(5)

    assert runs.interrupt(run.held.exec, LeaseLostError)
    assert not runs.interrupt(run.held.exec, WorkerStoppingError)  # the first reason stays

    thread.join()
    assert isinstance(thread.raised, LeaseLostError)


def test_an_interrupt_before_the_actor_begins_keeps_it_from_beginning() -> None:
    runs, run = Runs(), new_run()
    runs.add([run])

    assert not runs.interrupt(run.held.exec, LeaseLostError)

    with pytest.raises(LeaseLostError):
        runs.enter(run)


def test_an_interrupt_after_the_actor_has_ended_changes_nothing() -> None:
    runs, run = Runs(), new_run()
    runs.add([run])
    thread = ActorThread(runs, run, lambda: None)
    thread.join()

    assert not runs.interrupt(run.held.exec, LeaseLostError)
    assert thread.raised is None
    assert run.ended is not None


def test_an_interrupt_that_comes_with_the_end_is_taken_back() -> None:
    runs, run = Runs(), new_run()
    runs.add([run])
    hold = threading.Event()
    thread = ActorThread(runs, run, lambda: bool(hold.wait(5)))
    assert thread.inside.wait(5)
    with runs._lock:  # the thread is on its way out, and waits here
        hold.set()
        eventually(thread.at_the_door.is_set)
        raise_thread_exception(thread.ident, LeaseLostError)

    thread.join()

    assert thread.raised is None
    assert thread.came_out


def test_what_is_held_is_known_until_it_is_removed() -> None:
    runs, first, second = Runs(), new_run(), new_run()
    runs.add([first])
    runs.add([second])
    assert runs.held() == [first.held, second.held]

    runs.remove([first.held.exec, uuid4()])

    assert runs.held() == [second.held]
    assert runs.interrupt_all(LeaseLostError) == 0
    assert second.interrupt is LeaseLostError


def test_an_item_that_meets_a_lock_goes_behind_the_others(sink: Sink, commit: GroupCommit[int]) -> None:
    locked = threading.Event()
    locked.set()
    write = sink.write

    def busy_for_one(items: Sequence[int]) -> None:
        if 1 in items and locked.is_set():
            raise PostgresBusyError("lock timeout")
        write(items)

    commit._write = busy_for_one
    commit.submit(1)
    commit.submit(2)
    commit.submit(3)
    eventually(lambda: sink.written == [2, 3])

    locked.clear()

    eventually(lambda: sink.written == [2, 3, 1])
    assert commit.close(5) == 0


def test_what_belongs_to_an_item_that_meets_a_lock_waits_behind_it(sink: Sink) -> None:
    locked = threading.Event()
    locked.set()

    def busy_for_one(items: Sequence[int]) -> None:
        sink.open.wait(10)
        if 1 in items and locked.is_set():
            raise PostgresBusyError("lock timeout")
        sink.write(items)

    commit = GroupCommit[int]("reports", busy_for_one, group_size=10, key=lambda item: item % 10)
    sink.open.clear()
    ones = list(range(1, 200, 10))  # two groups of their own
    for item in (2, *ones, 3):
        commit.submit(item)
    commit.start()
    sink.open.set()
    eventually(lambda: sink.written == [2, 3], what="those that do not belong to it")

    locked.clear()

    eventually(lambda: sink.written == [2, 3, *ones])
    assert commit.close(5) == 0


def test_a_refused_item_may_be_written_in_another_form(sink: Sink) -> None:
    sink.refuses = 2
    commit = GroupCommit[int]("reports", sink.write, on_refused=lambda item, error: item * 100)
    commit.start()
    commit.submit(1)
    commit.submit(2)
    commit.submit(3)

    eventually(lambda: sorted(sink.written) == [1, 3, 200])
    assert commit.close(5) == 0


def test_an_interrupt_in_the_middle_of_submitting_leaves_no_lock_behind(sink: Sink) -> None:
    commit = GroupCommit[int]("reports", sink.write)
    commit.start()

    class Stopped(BaseException):
        pass

    for _ in range(50):
        submitting = threading.Event()

        def submit_all_the_time(submitting: threading.Event = submitting) -> None:
            with contextlib.suppress(Stopped):
                while True:
                    commit.submit(1)
                    submitting.set()

        thread = threading.Thread(target=submit_all_the_time)
        thread.start()
        assert submitting.wait(5)
        assert thread.ident is not None
        raise_thread_exception(thread.ident, Stopped)
        thread.join(5)
        assert not thread.is_alive()

    written = len(sink.written)
    commit.submit(2)
    eventually(lambda: 2 in sink.written)
    assert written > 0
    assert commit.close(5) == 0
