import pytest

from actors.coding.agent.claude.request import body
from actors.coding.agent.runner import Message
from actors.coding.agent.tools.registry import TOOLS
from tests.support.message_rules import broken_rule

HELLO = [Message("user", [{"type": "text", "text": "Hello?"}])]


@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        ("claude-sonnet-5-5", True),
        ("claude-opus-4-6", True),
        ("claude-fable-5", True),
        ("claude-haiku-4-5", False),
        ("claude-haiku-4-5-20251001", False),
        ("claude-sonnet-4-20250514", False),
        ("claude-3-7-sonnet-latest", False),
        ("llama", False),
    ],
)
def test_models_are_asked_to_think_if_they_can_choose_how_much(model: str, thinks: bool) -> None:
    assert ("thinking" in body(model, HELLO, TOOLS)) is thinks


def test_two_prompts_in_a_row_become_one_message() -> None:
    asked = body("m", [*HELLO, *HELLO], TOOLS)

    assert [len(message["content"]) for message in asked["messages"]] == [2]
    assert broken_rule(asked) is None


def test_the_stored_messages_are_not_marked_themselves() -> None:
    body("m", HELLO, TOOLS)

    assert "cache_control" not in HELLO[0].content[0]


def test_thinking_is_never_marked() -> None:
    odd = [Message("user", [{"type": "thinking", "thinking": "x", "signature": "s"}])]

    assert "cache_control" not in str(body("m", odd, TOOLS)["messages"])
