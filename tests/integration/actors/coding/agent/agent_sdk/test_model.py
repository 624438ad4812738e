"""What the model is asked: the requests of Claude Code with the stored conversation, beside those of our own loop."""

from pathlib import Path

from actors.coding.agent.agent_sdk_loop import AgentSdkLoop
from actors.coding.agent.claude_loop import ClaudeLoop
from tests.support.agent_sdk import claude_code
from tests.support.fake_anthropic import FakeAnthropic, Request
from tests.support.scripted_replies import Reply
from tests.support.stage import Stage

REPLIES = [
    Reply([{"thinking": "Hm."}, {"tool": "bash", "input": {"command": "echo one"}}]),
    Reply([{"tool": "bash", "input": {}}]),
    Reply([{"text": "Done."}]),
]


def asked(folder: Path, *, on_sdk: bool) -> list[Request]:
    stage = Stage(folder, "Hello @/etc/hostname, /compact")
    stage.record.inbox = ["And bye."]
    with FakeAnthropic(REPLIES) as fake:
        stage.run(AgentSdkLoop(claude_code(), "key", fake.url) if on_sdk else ClaudeLoop("key", fake.url))
        return fake.requests


def test_tools_and_conversation_are_those_of_our_own_loop_and_the_rest_is_of_claude_code(tmp_path: Path) -> None:
    theirs, ours = (asked(tmp_path, on_sdk=on_sdk) for on_sdk in (True, False))

    for name in ("model", "max_tokens", "tools", "messages", "thinking"):
        assert [one.body[name] for one in theirs] == [one.body[name] for one in ours]
    assert "Claude Agent SDK" in theirs[0].body["system"][0]["text"]
    assert theirs[0].body["system"][-1]["text"].startswith("You are a coding agent.")
    assert "effort" in theirs[0].body["output_config"]
    assert theirs[0].headers["anthropic-beta"]
    said = str([request.body for request in theirs])
    for of_the_worker in ("mobvibe-claude-code-", "working directory", "OS Version", "device_id", "billing"):
        assert of_the_worker not in said


def test_another_makers_model_gets_nothing_that_only_claude_takes(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "Hello?")
    with FakeAnthropic([Reply([{"text": "Hi."}])]) as fake:
        stage.run(AgentSdkLoop(claude_code(), "key", fake.url, price="0,0"), model="llama")

    assert not {"thinking", "output_config"} & fake.requests[0].body.keys()
    assert "anthropic-beta" not in fake.requests[0].headers
