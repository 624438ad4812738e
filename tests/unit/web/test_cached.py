"""An answer that is kept for some seconds."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge.errors import PostgresUnavailableError
from bridge.web.cached import FAILURE_SECONDS, Cached

HOUR = 3600.0


def test_an_answer_is_kept_for_its_time() -> None:
    asked: list[int] = []

    def ask() -> int:
        asked.append(1)
        return len(asked)

    kept, renewed = Cached(ask, HOUR), Cached(ask, 0.0)

    assert [kept.get(), kept.get(), renewed.get(), renewed.get()] == [1, 1, 2, 3]


def test_many_who_ask_at_the_same_time_cost_one_question() -> None:
    asked: list[int] = []
    begun = threading.Event()

    def ask() -> None:
        asked.append(1)
        begun.wait(0.05)

    cached = Cached(ask, HOUR)
    viewers = [threading.Thread(target=cached.get) for _ in range(20)]
    for viewer in viewers:
        viewer.start()
    begun.set()
    for viewer in viewers:
        viewer.join()

    assert len(asked) == 1


def test_many_who_wait_for_a_silent_store_hear_of_it_together(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def ask() -> str:
        asked.append(1)
        if len(asked) == 1:
            time.sleep(0.05)  # while all others come
            raise PostgresUnavailableError("no answer")
        return "an answer"

    cached = Cached(ask, HOUR)

    def view(_: int) -> str:
        try:
            return str(cached.get())
        except PostgresUnavailableError as error:
            return str(error)

    with ThreadPoolExecutor(20) as viewers:
        assert set(viewers.map(view, range(20))) == {"no answer"}
    later = time.monotonic() + FAILURE_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert cached.get() == "an answer", "a failure is not kept for an hour"
