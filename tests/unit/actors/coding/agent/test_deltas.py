import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from actors.coding.agent.deltas import EventStream, Redactor
from bridge import NotOursError
from tests.support.redactors import Knows, Plain
from tests.support.waiting import eventually

Emitted = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture
def emitted() -> Emitted:
    return []


@pytest.fixture
def events(emitted: Emitted) -> Iterator[EventStream]:
    with stream(emitted, flush_seconds=30) as events:
        yield events


def stream(
    emitted: Emitted,
    *,
    flush_seconds: float,
    redactor: Callable[[], Redactor] = Plain,
    flush: Callable[[], None] = lambda: None,
) -> EventStream:
    return EventStream(lambda kind, data: emitted.append((kind, data)), flush, redactor, flush_seconds=flush_seconds)


def test_the_first_piece_is_sent_at_once_and_the_others_together(events: EventStream, emitted: Emitted) -> None:
    for piece in ("one ", "two ", "three"):
        events.text("text", piece, {"message": 1})
    assert emitted == [("text", {"message": 1, "text": "one ", "offset": 0})]

    events.flush()

    assert emitted[1:] == [("text", {"message": 1, "text": "two three", "offset": 4})]


def test_text_of_another_kind_ends_the_one_before(events: EventStream, emitted: Emitted) -> None:
    events.text("thinking", "a", {"message": 1})
    events.text("thinking", "b", {"message": 1})
    events.text("text", "c", {"message": 1})
    events.text("text", "d", {"message": 2})

    assert [(kind, data["text"], data["offset"]) for kind, data in emitted] == [
        ("thinking", "a", 0),
        ("thinking", "b", 1),
        ("text", "c", 0),
        ("text", "d", 0),
    ]


def test_an_event_comes_after_the_text_before_it(events: EventStream, emitted: Emitted) -> None:
    events.text("text", "a", {})
    events.text("text", "b", {})
    events.emit("usage", {"cost": 1})

    assert [kind for kind, _ in emitted] == ["text", "text", "usage"]


def test_what_was_said_is_sent_in_time_when_nothing_follows(emitted: Emitted) -> None:
    with stream(emitted, flush_seconds=0.05) as events:
        events.text("text", "a", {})
        events.text("text", "b", {})

        eventually(lambda: len(emitted) == 2, seconds=5)


def test_the_output_of_commands_is_in_output(events: EventStream, emitted: Emitted) -> None:
    events.text("terminal", "file\n", {"callId": "c"})

    assert emitted == [("terminal", {"callId": "c", "output": "file\n", "offset": 0})]


def test_a_long_text_is_sent_in_several_events(events: EventStream, emitted: Emitted) -> None:
    events.text("terminal", "x" * 150_000, {})

    assert [(len(data["output"]), data["offset"]) for _, data in emitted] == [
        (65536, 0),
        (65536, 65536),
        (18928, 131072),
    ]


def test_a_secret_is_seen_in_no_event(emitted: Emitted) -> None:
    with stream(emitted, flush_seconds=0, redactor=lambda: Knows("s3cret")) as events:
        for piece in ("the key is s3", "cre", "t, and s3c"):
            events.text("text", piece, {})
        events.emit("tool_started", {"input": {"list": ["x s3cret"], "count": 3}})

    assert "".join(data.get("text", "") for _, data in emitted) == "the key is ***, and s3c"
    assert emitted[-1] == ("tool_started", {"input": {"list": ["x ***"], "count": 3}})


def test_a_flush_waits_for_the_store_after_all_is_sent(emitted: Emitted) -> None:
    seen: list[int] = []
    with stream(emitted, flush_seconds=30, flush=lambda: seen.append(len(emitted))) as events:
        events.text("text", "a", {})
        events.text("text", "b", {})
        events.flush()

    assert seen == [2]


def test_a_refusal_in_the_background_reaches_the_turn() -> None:
    def refuse(_: str, data: Mapping[str, Any]) -> None:
        if data["offset"]:
            raise NotOursError("replaced")

    with EventStream(refuse, lambda: None, Plain, flush_seconds=0.02) as events:
        events.text("text", "a", {})
        events.text("text", "b", {})
        eventually(lambda: events._failure is not None, seconds=5)
        with pytest.raises(NotOursError):
            events.flush()


def test_a_thousand_pieces_at_eighty_a_second_are_at_most_two_hundred_events(
    emitted: Emitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    events = stream(emitted, flush_seconds=0.05)  # without its thread: the clock stands still between pieces
    for _ in range(1000):
        events.text("text", "word ", {"message": 1})
        now += 1 / 80
    events.flush()

    assert len(emitted) <= 200
    assert "".join(data["text"] for _, data in emitted) == "word " * 1000
