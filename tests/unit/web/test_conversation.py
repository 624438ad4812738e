"""A conversation is put together from the events of its session."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.web.conversation import conversation
from bridge.web.session_entries import Item

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def told(*events: tuple[str, Any]) -> list[Item]:
    return conversation({"event_type": kind, "data": data, "created_at": NOW} for kind, data in events)


def texts(*events: tuple[str, Any]) -> list[tuple[str, str]]:
    return [(item.kind, item.text) for item in told(*events)]


def test_pieces_of_a_text_are_one_entry() -> None:
    assert texts(
        ("thinking", {"message": 1, "text": "hm", "offset": 0}),
        ("text", {"message": 1, "text": "one ", "offset": 0}),
        ("text", {"message": 1, "text": "two", "offset": 4}),
    ) == [("thinking", "hm"), ("said", "one two")]


def test_offset_0_begins_the_text_anew() -> None:
    assert texts(
        ("text", {"message": 1, "text": "cut o", "offset": 0}),
        ("text", {"message": 1, "text": "whole", "offset": 0}),
    ) == [("said", "whole")]


def test_a_retracted_message_is_gone() -> None:
    assert texts(
        ("text", {"message": 1, "text": "kept", "offset": 0}),
        ("usage", {}),
        ("text", {"message": 3, "text": "half", "offset": 0}),
        ("thinking", {"message": 3, "text": "hm", "offset": 0}),
        ("retracted", {"message": 3}),
    ) == [("said", "kept"), ("note", "0 tokens in, 0 out")]


def test_a_later_message_of_the_same_number_is_another_one() -> None:
    """The conversation counts anew after its summary."""
    first = ("text", {"message": 1, "text": "before", "offset": 0})
    later = ("text", {"message": 1, "text": "after", "offset": 0})

    told_of = texts(first, ("compacted", {"messages": 9}), later, ("retracted", {"message": 1}))

    assert told_of[0] == ("said", "before")
    assert ("said", "after") not in told_of


@pytest.mark.parametrize("end", ["turn_started", "error", "completion"])
def test_a_call_that_its_turn_left_does_not_run_for_ever(end: str) -> None:
    started = ("tool_started", {"callId": "a", "tool": "bash", "input": {}})
    finished = ("tool_finished", {"callId": "a", "tool": "bash", "content": ""})

    assert told(started)[0].state == "running"
    assert told(started, (end, {}))[0].state == "interrupted"
    assert told(started, (end, {}), finished)[0].state == "done"  # the next attempt has attached to it


def test_a_call_is_one_entry_with_its_output() -> None:
    (call,) = told(
        ("tool_started", {"callId": "a", "tool": "bash", "input": {"command": "make"}}),
        ("terminal", {"callId": "a", "output": "one\n", "offset": 0}),
        ("terminal", {"callId": "a", "output": "two\n", "offset": 4}),
        ("tool_finished", {"callId": "a", "tool": "bash", "content": "one\ntwo\n", "isError": True}),
    )

    assert (call.title, call.intro, call.text, call.state) == ("bash", "make", "one\ntwo\n", "failed")


def test_a_call_without_output_shows_its_result() -> None:
    (call,) = told(
        ("tool_started", {"callId": "a", "tool": "edit", "input": {"path": "a.py", "new": "x"}}),
        ("tool_finished", {"callId": "a", "tool": "edit", "content": "a.py is created.", "isError": False}),
    )

    assert (call.intro, call.text, call.state) == ("a.py", "a.py is created.", "done")


def test_output_whose_beginning_is_in_an_earlier_part_says_so() -> None:
    (call,) = told(("terminal", {"callId": "a", "output": "end", "offset": 90}))

    assert call.is_cut


def test_a_long_text_shows_its_end() -> None:
    (item,) = told(("text", {"message": 1, "text": "x" * 60_000 + "end", "offset": 0}))

    assert item.is_cut
    assert (len(item.shown), item.shown[-3:]) == (50_000, "end")


def test_steps_are_shown_instead_of_the_call_that_notes_them() -> None:
    items = told(
        ("tool_started", {"callId": "t", "tool": "todo", "input": {"items": []}}),
        ("progress", {"done": 1, "total": 2, "items": [{"text": "a", "status": "done"}, {"text": "b", "status": "?"}]}),
        ("tool_finished", {"callId": "t", "tool": "todo", "content": "Noted"}),
        ("tool_finished", {"callId": "u", "tool": "todo", "content": "Not run", "isError": True}),
    )

    assert [(item.title, item.text, item.state) for item in items] == [
        ("Steps: 1 of 2 done", "✓ a\n○ b", ""),
        ("todo", "Not run", "failed"),
    ]


def test_events_of_other_actors_are_shown_each() -> None:
    assert [(item.title, item.intro, item.text) for item in told(
        ("terminal", {"command": "ls", "output": "a"}), ("terminal", {"command": "pwd", "output": "/"}),
        ("thinking", {"text": "hm"}), ("thinking", {"text": "so"}), ("step", {"n": 1}), ("odd", [1]),
    )] == [
        ("Terminal", "ls", "a"), ("Terminal", "pwd", "/"), ("Thinking", "", "hm"), ("Thinking", "", "so"),
        ("step", "", '{\n  "n": 1\n}'), ("odd", "", '{\n  "value": [\n    1\n  ]\n}'),
    ]  # fmt: skip


def test_a_question_is_shown_once() -> None:
    kinds = texts(
        ("tool_started", {"callId": "q", "tool": "ask", "input": {"question": "Which?", "choices": ["a", "b"]}}),
        ("question", {"callId": "q", "text": "Which?", "choices": ["a", "b"]}),
        ("answer", {"callId": "q", "text": "a"}),
    )

    assert kinds == [("question", "Which?\n• a\n• b"), ("prompt", "a")]
