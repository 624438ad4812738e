"""How an actor is interrupted in its thread, and when it is too late for that."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from dramatiq.middleware import Interrupt, raise_thread_exception

from bridge.worker import runs as runs_module
from bridge.worker.interrupts import LeaseLostError, WorkerStoppingError
from bridge.worker.runs import Run, Runs
from tests.support.runs import new_run
from tests.support.waiting import eventually


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

    assert runs.interrupt(run.key.exec, LeaseLostError)
    assert not runs.interrupt(run.key.exec, WorkerStoppingError)  # the first reason stays

    thread.join()
    assert isinstance(thread.raised, LeaseLostError)


def test_an_interrupt_before_the_actor_begins_keeps_it_from_beginning() -> None:
    runs, run = Runs(), new_run()
    runs.add([run])

    assert not runs.interrupt(run.key.exec, LeaseLostError)

    with pytest.raises(LeaseLostError):
        runs.enter(run)


def test_an_interrupt_after_the_actor_has_ended_changes_nothing() -> None:
    runs, run = Runs(), new_run()
    runs.add([run])
    thread = ActorThread(runs, run, lambda: None)
    thread.join()

    assert not runs.interrupt(run.key.exec, LeaseLostError)
    assert thread.raised is None
    assert run.ended is not None


def test_an_interrupt_that_comes_as_the_actor_ends_is_undone() -> None:
    runs, run = Runs(), new_run()
    runs.add([run])
    hold = threading.Event()
    thread = ActorThread(runs, run, lambda: bool(hold.wait(5)))
    assert thread.inside.wait(5)
    with runs._lock:  # the thread is leaving the actor, and waits here
        hold.set()
        eventually(thread.at_the_door.is_set)
        raise_thread_exception(thread.ident, LeaseLostError)

    thread.join()

    assert thread.raised is None
    assert thread.came_out


def test_an_actor_that_swallows_its_interrupt_is_interrupted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, run = Runs(), new_run()
    runs.add([run])
    interrupts: list[BaseException] = []

    def swallow() -> None:
        while len(interrupts) < 3:
            try:
                time.sleep(0.001)
            except Interrupt as error:
                interrupts.append(error)

    thread = ActorThread(runs, run, swallow)
    assert thread.inside.wait(5)
    assert runs.interrupt(run.key.exec, LeaseLostError)
    eventually(lambda: len(interrupts) == 1)
    runs.interrupt(run.key.exec, LeaseLostError)
    assert run.last_interrupted_at == run.interrupted_at, "it is not interrupted again while it cleans up"
    monkeypatch.setattr(runs_module, "_AGAIN_SECONDS", 0.0)

    for count in (2, 3):
        assert not runs.interrupt(run.key.exec, WorkerStoppingError)
        eventually(lambda: len(interrupts) == count)  # noqa: B023

    thread.join()
    assert {type(error) for error in interrupts} == {LeaseLostError}


def test_a_thread_can_be_profiled_after_an_interrupt_was_cleared() -> None:
    code = (
        "import sys; from bridge.worker.interrupts import clear_interrupt\n"
        "clear_interrupt(); sys.setprofile(lambda *_: None); (lambda: None)(); sys.setprofile(None)"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
