"""Claude Code and the gateway, without a turn: the test answers in the place of the model."""

from collections.abc import Iterator

import pytest

from actors.coding.agent.agent_sdk.answers import stream_of
from actors.coding.agent.agent_sdk.claude_code import ClaudeCode
from actors.coding.agent.agent_sdk.command import TOOL_PREFIX
from actors.coding.agent.agent_sdk.gateway import Gateway, Request
from actors.coding.agent.runner import Json
from actors.coding.agent.tools.registry import TOOLS
from tests.support.agent_sdk import claude_code
from tests.support.waiting import eventually

MODEL = "claude-sonnet-5-5"
TEXT: Json = {"type": "text", "text": "Hello."}


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


@pytest.fixture
def code(gateway: Gateway) -> Iterator[ClaudeCode]:
    with ClaudeCode(claude_code(), MODEL, TOOLS, gateway) as code:
        yield code


def asked(code: ClaudeCode, gateway: Gateway) -> Request:
    code.go_on()
    request = gateway.take(60)
    assert request is not None, code.failure
    code.was_asked()
    return request


def call(call_id: str, tool: str, **call_input: object) -> Json:
    return {"type": "tool_use", "id": call_id, "name": tool, "input": call_input}


def answer(request: Request, *content: Json) -> None:
    request.answer(stream_of(content, MODEL, TOOL_PREFIX))


def test_it_has_our_tools_alone(code: ClaudeCode, gateway: Gateway) -> None:
    request = asked(code, gateway)

    assert {tool["name"] for tool in request.body["tools"]} == {TOOL_PREFIX + name for name in TOOLS}


def test_it_goes_on_after_calls_when_the_turn_does_and_not_before(code: ClaudeCode, gateway: Gateway) -> None:
    answer(asked(code, gateway), call("c1", "bash", command="true"), call("c2", "bash", command="false"))
    assert gateway.take(3) is None

    results = [block["tool_use_id"] for block in asked(code, gateway).body["messages"][-1]["content"]]
    assert results == ["c1", "c2"]


@pytest.mark.parametrize("odd", [call("c1", "nothing"), call("c1", "bash", cut_off="{"), call("c1", "bash")])
def test_a_call_that_it_does_not_make_holds_nothing_up(code: ClaudeCode, gateway: Gateway, odd: Json) -> None:
    answer(asked(code, gateway), odd)

    asked(code, gateway)


def test_after_a_text_it_is_asked_to_go_on(code: ClaudeCode, gateway: Gateway) -> None:
    answer(asked(code, gateway), TEXT)
    answer(asked(code, gateway), call("c1", "bash", command="true"))
    answer(asked(code, gateway), TEXT)

    asked(code, gateway)


def test_a_turn_of_its_own_without_a_request_is_a_failure(code: ClaudeCode, gateway: Gateway) -> None:
    gateway.url = "http://127.0.0.1:9"

    code.go_on()

    assert gateway.take(60) is None
    assert "without a request" in str(eventually(lambda: code.failure))


def test_one_that_was_never_needed_never_starts(gateway: Gateway) -> None:
    with ClaudeCode(claude_code(), MODEL, TOOLS, gateway) as code:
        pass
    assert code.failure is None


def test_one_that_is_ended_before_its_thread_has_begun_ends(gateway: Gateway) -> None:
    with ClaudeCode(claude_code(), MODEL, TOOLS, gateway) as code:
        code._soon(code._cancel)
        code.go_on()
    assert code.failure is None
