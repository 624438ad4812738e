from typing import Any

import pytest

from actors.coding.agent.claude.answer import Answer
from tests.support.kept_events import KeptEvents
from tests.support.scripted_replies import Reply, events


def taken(reply: Reply, *, most: int | None = None) -> tuple[Answer, KeptEvents]:
    shown = KeptEvents()
    answer = Answer(shown, 7)
    for event in list(events(reply, 1, "m"))[:most]:
        answer.take(event)
    return answer, shown


def content(reply: Reply) -> list[Any]:
    answer, _ = taken(reply)
    return [*answer.reply(answer.usage("m")).content]


def test_blocks_are_kept_as_they_were_sent() -> None:
    blocks: list[dict[str, Any]] = [
        {"thinking": "Let me see."},
        {"text": "Look:"},
        {"tool": "bash", "input": {"command": "ls"}, "id": "c"},
    ]

    assert content(Reply(blocks, chunk=3)) == [
        {"type": "thinking", "thinking": "Let me see.", "signature": "signature 1"},
        {"type": "text", "text": "Look:"},
        {"type": "tool_use", "id": "c", "name": "bash", "input": {"command": "ls"}},
    ]


def test_pieces_are_shown_with_the_number_of_their_message() -> None:
    _, shown = taken(Reply([{"thinking": "Hm. "}, {"text": "abcd"}], chunk=2))

    assert [(kind, data["text"], data["message"]) for kind, data in shown.all] == [
        ("thinking", "Hm", 7),
        ("thinking", ". ", 7),
        ("text", "ab", 7),
        ("text", "cd", 7),
    ]


def test_a_block_of_a_kind_that_we_do_not_know_is_kept() -> None:
    answer = Answer(KeptEvents(), 1)
    block = {"type": "redacted_thinking", "data": "xyz"}
    for event in (
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "news_delta", "news": 1}},
        {"type": "content_block_stop", "index": 0},
        {"type": "news", "index": 0},
    ):
        answer.take(event)

    assert answer.reply(answer.usage("m")).content == [block]


@pytest.mark.parametrize(
    ("received", "stop", "call_input"),
    [
        ("", None, {}),
        ('{"command": "ls"}', None, {"command": "ls"}),
        ('{"command": "l', "max_tokens", {"cut_off": '{"command": "l'}),
        ('{"command": "ls"}', "max_tokens", {"cut_off": '{"command": "ls"}'}),
        ('["ls"]', None, {"cut_off": '["ls"]'}),
        ('{"command": "l', None, {"cut_off": '{"command": "l'}),
    ],
)
def test_an_input_that_is_not_whole_is_marked(received: str, stop: str | None, call_input: Any) -> None:
    [block] = content(Reply([{"tool": "bash", "json": received, "input": {}}], stop=stop))

    assert block["input"] == call_input


def test_usage_is_what_the_api_counts() -> None:
    counts = {"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 4}
    usage = taken(Reply([{"text": "a"}], usage=counts))[0].usage("m")

    assert (usage.input_tokens, usage.output_tokens, usage.cache_write_tokens, usage.cache_read_tokens) == (1, 2, 3, 4)


def test_an_answer_that_broke_off_has_used_what_has_come() -> None:
    answer, _ = taken(Reply([{"text": "x" * 400}]), most=20)

    assert not answer.is_complete
    assert answer.usage("m").input_tokens == 100
    assert answer.usage("m").output_tokens == 17 * 12 // 2
