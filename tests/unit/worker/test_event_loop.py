"""Async actors: what a coroutine raises is the outcome of its attempt only, which ends when the coroutine has ended."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from dramatiq.middleware import Interrupt
from dramatiq.threading import raise_thread_exception

from bridge.worker import event_loop
from bridge.worker.event_loop import JobLoop

DEADLINE = 20.0


class Ended(Interrupt):
    pass


@pytest.fixture
def dead() -> threading.Event:
    return threading.Event()


@pytest.fixture
def loop(dead: threading.Event) -> Iterator[JobLoop]:
    thread = JobLoop(logging.getLogger(__name__), lambda _: dead.set())
    thread.start(timeout=DEADLINE)
    yield thread
    thread.stop()


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


def raises(error: BaseException) -> Callable[[], Coroutine[Any, Any, None]]:
    async def coroutine() -> None:
        await asyncio.sleep(0)
        raise error

    return coroutine


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), StopAsyncIteration(), ValueError()],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_of_a_coroutine_reaches_its_caller_and_the_loop_runs_on(
    loop: JobLoop, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        loop.run_coroutine(raises(error)())

    assert caught.value is error
    assert loop.run_coroutine(answer()) == 42


def test_a_loop_that_was_stopped_runs_on(loop: JobLoop, dead: threading.Event) -> None:
    async def stop() -> int:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.01)
        return 1

    assert loop.run_coroutine(stop()) == 1
    assert loop.run_coroutine(answer()) == 42
    assert not dead.is_set()


def test_a_callback_that_ends_the_loop_does_not_end_it(loop: JobLoop, dead: threading.Event) -> None:
    def leave() -> None:
        raise SystemExit(7)

    loop.loop.call_soon_threadsafe(leave)

    assert loop.run_coroutine(answer()) == 42
    assert not dead.is_set()


def test_a_closed_loop_is_reported_and_no_caller_waits_for_it(loop: JobLoop, dead: threading.Event) -> None:
    async def close_when_stopped() -> None:
        running = asyncio.get_running_loop()
        threading.Thread(target=close, args=(running,), daemon=True).start()
        await asyncio.sleep(DEADLINE)

    pause = threading.Event()  # never set

    def close(running: asyncio.AbstractEventLoop) -> None:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            running.call_soon_threadsafe(running.stop)
            with contextlib.suppress(RuntimeError):  # while it runs
                running.close()
                return
            pause.wait(0.001)

    with pytest.raises(RuntimeError):
        loop.run_coroutine(close_when_stopped())

    assert dead.wait(DEADLINE)


def interrupted(loop: JobLoop, coroutine: Callable[[], Coroutine[Any, Any, Any]], began: threading.Event) -> list[Any]:
    """The exception in the thread that waits for `coroutine`, interrupted as soon as the coroutine has begun."""
    got: list[Any] = []

    def wait() -> None:
        try:
            got.append(loop.run_coroutine(coroutine()))
        except BaseException as error:  # noqa: BLE001 -- it is what is looked for
            got.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert began.wait(DEADLINE)
    raise_thread_exception(thread.ident, Ended)
    thread.join(DEADLINE)
    assert not thread.is_alive()
    return got


def test_an_interrupted_attempt_is_over_when_its_coroutine_is(loop: JobLoop) -> None:
    began, tidied = threading.Event(), threading.Event()

    async def slow_to_end() -> None:
        began.set()
        try:
            await asyncio.sleep(DEADLINE)
        finally:
            await asyncio.sleep(0.3)
            tidied.set()

    got = interrupted(loop, slow_to_end, began)

    assert type(got[0]) is Ended
    assert tidied.is_set()


def test_a_coroutine_that_swallows_its_cancellation_is_cancelled_again(
    loop: JobLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_loop, "_CANCEL_AGAIN_SECONDS", 0.2)
    began, swallowed = threading.Event(), 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                began.set()
                await asyncio.sleep(DEADLINE)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 2:
                    raise

    got = interrupted(loop, stubborn, began)

    assert type(got[0]) is Ended
    assert swallowed == 2


@pytest.mark.parametrize("is_scheduled", [True, False])
def test_an_interrupt_while_a_call_is_passed_to_the_loop_ends_the_coroutine(
    loop: JobLoop, monkeypatch: pytest.MonkeyPatch, is_scheduled: bool
) -> None:
    schedule, calls = loop.loop.call_soon_threadsafe, iter([True])

    def interrupted_once(callback: Callable[[], Any]) -> Any:
        if next(calls, False):
            if is_scheduled:
                schedule(callback)
            raise Ended
        return schedule(callback)

    async def coroutine() -> None:
        await asyncio.sleep(DEADLINE)

    monkeypatch.setattr(loop.loop, "call_soon_threadsafe", interrupted_once)
    with pytest.raises(Ended):
        loop.run_coroutine(coroutine())

    assert loop.run_coroutine(answer()) == 42
    assert not [task for task in asyncio.all_tasks(loop.loop) if not task.done()]


def test_a_coroutine_cancelled_before_its_first_step_is_over(loop: JobLoop) -> None:
    outcome = event_loop._Outcome(answer(), loop.loop)

    def begin_and_cancel() -> None:
        outcome.begin()
        outcome.cancel()

    loop.loop.call_soon_threadsafe(begin_and_cancel)

    assert outcome.over.wait(DEADLINE)
