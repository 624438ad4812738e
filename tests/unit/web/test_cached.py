"""An answer that is kept for some seconds."""

import threading

from bridge.web.cached import Cached

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
