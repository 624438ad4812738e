"""Histories are read once for all viewers, and few are kept."""

from typing import Any

import pytest

from bridge.postgres.history import RangeError
from bridge.web import histories
from bridge.web.histories import Histories


class Calls:
    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, name: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked.append((name, params["queue"]))
        return [{"at": 0, "spans": 0}] if name == "history" else []


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    monkeypatch.setattr(histories, "_KEPT_MOST", 2)
    monkeypatch.setattr("bridge.postgres.history.COUNTS", ())
    monkeypatch.setattr("bridge.postgres.history.DEPTHS", ())
    return Calls()


def test_a_history_is_read_once_for_all_viewers(calls: Calls) -> None:
    kept = Histories(calls)
    for queue in (None, "a", None, "a"):
        kept.get("1h", queue)

    assert calls.asked == [("history", None), ("latencies", None), ("history", "a"), ("latencies", "a")]


def test_the_history_that_nobody_has_asked_for_longest_goes(calls: Calls) -> None:
    kept = Histories(calls)
    for queue in ("a", "b", "a", "c", "a", "b"):
        kept.get("1h", queue)

    assert [queue for name, queue in calls.asked if name == "history"] == ["a", "b", "c", "b"]


def test_an_unknown_range_is_refused_and_not_kept(calls: Calls) -> None:
    with pytest.raises(RangeError):
        Histories(calls).get("1y")
    assert calls.asked == []
