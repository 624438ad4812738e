"""What Claude answers is shown in test_claude_loop.py; here, when a conversation is summed up."""

from pathlib import Path

import pytest

from actors.coding.agent.claude_loop import ClaudeLoop
from actors.coding.agent.runner import Finished, Message, OverBudget
from bridge import Fail
from tests.support.fake_anthropic import FakeAnthropic
from tests.support.scripted_replies import Refused, Reply
from tests.support.stage import Stage

SUMMARY = Reply([{"text": "In short."}], when="Write a summary")
CALLS = Reply([{"tool": "bash", "input": {"command": "true"}}], when="Write a summary")


def long(folder: Path, *, limit_usd: float | None = None) -> Stage:
    stage = Stage(folder, "x" * 20_000, limit_usd=limit_usd)
    stage.record.stored += [
        Message("assistant", [{"type": "text", "text": "y" * 20_000}]),
        Message("user", [{"type": "text", "text": "Go on."}]),
    ]
    return stage


def test_a_model_that_calls_tools_instead_leaves_no_summary(tmp_path: Path) -> None:
    stage = long(tmp_path)
    with FakeAnthropic([CALLS, Reply([{"text": "On."}])]) as fake:
        assert stage.run(ClaudeLoop("k", fake.url, compact_tokens=10_000)) == Finished("On.")

    assert "could not be summed up" in stage.record.stored[0].content[0]["text"]
    assert stage.record.stored[0].content[1]["text"] == "Go on."


def test_a_summary_is_a_request_like_others_to_the_budget(tmp_path: Path) -> None:
    stage = long(tmp_path, limit_usd=0.01)
    with FakeAnthropic([SUMMARY]) as fake:
        assert isinstance(stage.run(ClaudeLoop("k", fake.url, compact_tokens=10_000)), OverBudget)
        assert fake.requests == []


def test_a_summary_that_is_refused_fails_the_turn(tmp_path: Path) -> None:
    refused = Reply(when="Write a summary", refused=[Refused(403, "permission_error")])
    with FakeAnthropic([refused]) as fake, pytest.raises(Fail, match="403 permission_error"):
        long(tmp_path).run(ClaudeLoop("k", fake.url, compact_tokens=10_000))


def test_a_conversation_that_fits_is_sent_as_it_is(tmp_path: Path) -> None:
    stage = long(tmp_path)
    with FakeAnthropic([Reply([{"text": "On."}])]) as fake:
        stage.run(ClaudeLoop("k", fake.url, compact_tokens=20_000))

    assert stage.record.replaced == []
    assert len(fake.requests) == 1
