"""The checker of storms finds what it is there for: else a storm that breaks a promise would pass."""

from collections import Counter
from typing import Any

import pytest

from tests.storm.checker import _conversation, _events, _runs
from tests.storm.script import COMMANDS, REPLIES

Row = dict[str, Any]
ONCE = Counter(COMMANDS)


def calls(**changed: Row) -> list[Row]:
    done = {"finished_fence": 1, "result": {"content": "[no output, exit code 0]"}}
    return [{"call_id": call_id, **done, **changed.get(call_id, {})} for call_id in COMMANDS]


def conversation() -> list[Row]:
    rows: list[Row] = [{"role": "user", "content": [{"type": "text", "text": "Go"}]}]
    for reply in REPLIES:
        blocks = [
            {"type": "text", "text": one["text"]} if "text" in one else {"type": "tool_use", "id": one["id"]}
            for one in reply.blocks
        ]
        rows.append({"role": "assistant", "content": blocks})
        results = [{"type": "tool_result", "tool_use_id": one["id"]} for one in reply.blocks if "id" in one]
        rows += [{"role": "user", "content": results}] if results else []
    return [{**row, "position": place} for place, row in enumerate(rows)]


def events() -> list[Row]:
    kinds = ["turn_started", *["tool_started", "tool_finished"] * 5, "completion"]
    return [{"seq": place + 1, "event_type": kind} for place, kind in enumerate(kinds)]


def test_what_is_right_is_right() -> None:
    assert (_runs(calls(), ONCE), _conversation(conversation()), _events(events(), 12)) == ([], [], [])


@pytest.mark.parametrize(
    ("ran", "changed"),
    [
        (ONCE + Counter(["call_2"]), {}),
        (ONCE - Counter(["call_2"]), {}),
        (ONCE + Counter(["call_9"]), {}),
        (ONCE, {"call_3": {"finished_fence": None}}),
    ],
)
def test_calls_that_ran_twice_or_never_or_have_no_result(ran: Counter[str], changed: dict[str, Row]) -> None:
    assert len(_runs(calls(**changed), ran)) == 1


def test_a_call_of_unknown_outcome_may_have_run_once_or_not() -> None:
    unknown = {"call_2": {"result": {"content": "Interrupted, outcome unknown: …"}}}

    assert _runs(calls(**unknown), ONCE) == _runs(calls(**unknown), ONCE - Counter(["call_2"])) == []
    assert _runs(calls(**unknown), ONCE + Counter(["call_2"]))


@pytest.mark.parametrize("place", range(len(conversation())))
def test_messages_that_are_missing_or_doubled(place: int) -> None:
    whole = conversation()

    assert _conversation(whole[:place] + whole[place + 1 :])
    assert _conversation([*whole[:place], whole[place], *whole[place:]])


@pytest.mark.parametrize("place", range(12))
def test_events_that_are_missing_or_doubled(place: int) -> None:
    whole = events()

    assert _events(whole[:place] + whole[place + 1 :], 12)
    assert _events([*whole[:place], whole[place], *whole[place:]], 12)


def test_a_last_number_that_is_not_that_of_the_stream() -> None:
    assert _events(events(), 13)
