"""What every agent promises: the same tests for each."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from actors.coding.agent.agent_sdk_loop import AgentSdkLoop
from actors.coding.agent.claude_loop import ClaudeLoop
from actors.coding.agent.deltas import EventStream
from actors.coding.agent.runner import AgentRunner, Finished, Message
from actors.coding.agent.scripted import Scripted
from bridge import Fail, NotOursError
from tests.support.agent_sdk import claude_code
from tests.support.fake_anthropic import FakeAnthropic
from tests.support.kills import Killed
from tests.support.message_rules import broken_rule
from tests.support.redactors import Plain
from tests.support.scripted_replies import Reply
from tests.support.sized import by_size, sized
from tests.support.stage import Stage
from tests.support.waiting import eventually

PROMPT = "Two steps.\n```sh\necho one >> log.txt\n```\n```sh\necho two >> log.txt; cat log.txt\n```\n"
REPLIES = [
    Reply(
        [
            {"thinking": "First one."},
            {"text": "I run one."},
            {"tool": "bash", "input": {"command": "echo one >> log.txt"}},
        ]
    ),
    Reply([{"text": "Then two."}, {"tool": "bash", "input": {"command": "echo two >> log.txt; cat log.txt"}}]),
    Reply([{"text": "All done."}]),
]
WRITE = [Reply([{"tool": "edit", "input": {"path": "stand-in.md", "new": "Hello\n"}}]), Reply([{"text": "Written."}])]
SLEEP = [Reply([{"tool": "bash", "input": {"command": "sleep 60"}}]), Reply([{"text": "Awake."}])]

MakeAgent = Callable[[list[Reply]], AgentRunner]


@pytest.fixture(params=["claude", "claude-agent-sdk", "scripted"])
def make_agent(request: pytest.FixtureRequest) -> Iterator[MakeAgent]:
    """Makes an agent; the replies are for the one that asks a model."""
    fakes: list[FakeAnthropic] = []

    def make(replies: list[Reply]) -> AgentRunner:
        if request.param == "scripted":
            return Scripted(piece_seconds=0)
        fakes.append(FakeAnthropic(replies).__enter__())
        if request.param == "claude-agent-sdk":
            return AgentSdkLoop(claude_code(), "key", fakes[-1].url, first_wait_seconds=0.01)
        return ClaudeLoop("key", fakes[-1].url, first_wait_seconds=0.01)

    yield make
    for fake in fakes:
        assert [broken_rule(asked.body) for asked in fake.requests] == [None] * len(fake.requests)
        fake.__exit__()


def step_of(agent: AgentRunner, full: int = 1) -> int:
    """From one kill to the next. An attempt takes most of a second with Claude Code."""
    return by_size(9, full) if isinstance(agent, AgentSdkLoop) else full


def problem_of(stage: Stage) -> str | None:
    """What the API would refuse in the conversation as it is stored."""
    messages = [{"role": message.role, "content": message.content} for message in stage.record.stored]
    asked = {"messages": [*messages, {"role": "user", "content": [{"type": "text", "text": "Go on."}]}]}
    return broken_rule({**asked, "tools": [{"name": "bash"}, {"name": "edit"}]})


def test_a_turn_runs_calls_and_ends_with_the_last_text(make_agent: MakeAgent, tmp_path: Path) -> None:
    stage = Stage(tmp_path, PROMPT)

    ending = stage.run(make_agent(REPLIES))

    assert isinstance(ending, Finished)
    assert ending.summary
    assert ending.reason is None
    assert (tmp_path / "log.txt").read_text() == "one\ntwo\n"
    assert [message.role for message in stage.record.stored] == ["user", "assistant"] * 3
    assert stage.record.stored[-2].content[0]["content"] == "one\ntwo"
    assert len(stage.record.finished) == 2


def test_its_events_are_in_order(make_agent: MakeAgent, tmp_path: Path) -> None:
    stage = Stage(tmp_path, PROMPT)

    stage.run(make_agent(REPLIES))

    kinds = [kind for kind, _ in stage.events.all if kind not in {"thinking", "usage"}]
    seen = [kind for kind, _ in groupby(kinds)]
    assert seen == [
        "text",
        "tool_started",
        "tool_finished",
        "text",
        "tool_started",
        "terminal",
        "tool_finished",
        "text",
    ]
    [first, second] = stage.events.of("tool_finished")
    assert (second["tool"], second["content"], second["isError"]) == ("bash", "one\ntwo", False)
    assert [data["callId"] for data in stage.events.of("tool_started")] == [first["callId"], second["callId"]]


def test_all_that_was_said_is_stored_before_what_follows(make_agent: MakeAgent, tmp_path: Path) -> None:
    stage = Stage(tmp_path, PROMPT)
    kept = stage.events
    with EventStream(kept.emit, kept.flush, Plain, flush_seconds=30) as events:
        stage.run(make_agent([replace(reply, chunk=2) for reply in REPLIES]), events=events)

    kinds = [kind for kind, _ in groupby(kind for kind, _ in kept.all if kind != "thinking")]
    if "usage" in kinds:
        assert kinds[:4] == ["text", "usage", "tool_started", "tool_finished"]
    else:
        assert kinds[:3] == ["text", "tool_started", "tool_finished"]


def test_a_change_of_a_file_is_shown_as_a_diff(make_agent: MakeAgent, tmp_path: Path) -> None:
    stage = Stage(tmp_path, "Say hello in a file.")

    stage.run(make_agent(WRITE))

    [change] = stage.events.of("file_change")
    assert change["diff"].startswith("--- /dev/null\n+++ b/stand-in.md\n@@ -0,0 +1,")


@sized
@pytest.mark.timeout(by_size(120, 900))  # all kills of an agent that takes a second for each
def test_a_turn_that_is_killed_anywhere_goes_on_without_repeating_a_call(make_agent: MakeAgent, tmp_path: Path) -> None:
    agent = make_agent(REPLIES)
    (tmp_path / "whole").mkdir()
    whole = Stage(tmp_path / "whole", PROMPT)
    ending = whole.run(agent)
    points = len(whole.record.kills.passed)
    assert points >= 20

    for at in range(1, points + 1, step_of(agent)):
        folder = tmp_path / str(at)
        folder.mkdir()
        stage = Stage(folder, PROMPT)
        with pytest.raises(Killed):
            stage.run(agent, kill_at=at)
        if at % 2:
            stage.sandbox.forget()  # its commands are lost as well; the files are not

        again = stage.run(agent)
        assert problem_of(stage) is None
        assert max(stage.sandbox.ran.values(), default=0) <= 1, f"a command ran twice after {stage.record.kills.passed}"
        assert len(stage.record.finished) == len(set(stage.record.finished))
        results = [str((call.result or {})["content"]) for call in stage.record.known.values()]
        if not any("outcome unknown" in result for result in results):
            assert again == ending
            assert (folder / "log.txt").read_text() == "one\ntwo\n"


@sized
@pytest.mark.timeout(by_size(120, 900))  # all kills of an agent that takes a second for each
def test_two_kills_in_one_turn_are_as_good_as_one(make_agent: MakeAgent, tmp_path: Path) -> None:
    agent = make_agent(REPLIES)
    for first in range(2, 14, step_of(agent, 3)):
        folder = tmp_path / str(first)
        folder.mkdir()
        stage = Stage(folder, PROMPT)
        for at in (first, 3):
            with pytest.raises(Killed):
                stage.run(agent, kill_at=at)

        assert isinstance(stage.run(agent), Finished)
        assert problem_of(stage) is None
        assert max(stage.sandbox.ran.values(), default=0) <= 1


@sized
@pytest.mark.timeout(by_size(120, 900))  # all kills of an agent that takes a second for each
def test_an_edit_that_is_killed_anywhere_is_done_once_and_known(make_agent: MakeAgent, tmp_path: Path) -> None:
    agent = make_agent(WRITE)
    for at in range(1, 50, step_of(agent)):
        folder = tmp_path / str(at)
        folder.mkdir()
        stage = Stage(folder, "Say hello in a file.")
        try:
            stage.run(agent, kill_at=at)
        except Killed:
            stage.run(agent)
            assert (folder / "stand-in.md").exists()
            assert not any(call.result and call.result["is_error"] for call in stage.record.known.values())
        else:
            assert at > 10
            return
    pytest.fail("the turn never ended")


def test_what_was_shown_and_not_stored_is_retracted(make_agent: MakeAgent, tmp_path: Path) -> None:
    stage = Stage(tmp_path, PROMPT)
    with pytest.raises(Killed):
        stage.run(make_agent(REPLIES), kill_at=1 if isinstance(make_agent([]), Scripted) else 3)
    assert len(stage.record.stored) == 1
    shown = len(stage.events.all)

    stage.run(make_agent(REPLIES))

    assert stage.events.all[shown] == ("retracted", {"message": 1})
    assert len(stage.events.of("retracted")) == 1


def test_what_the_user_sends_meanwhile_is_read_with_the_next_results(make_agent: MakeAgent, tmp_path: Path) -> None:
    stage = Stage(tmp_path, PROMPT)
    stage.record.inbox = ["And say bye."]

    stage.run(make_agent(REPLIES))

    assert [block["type"] for block in stage.record.stored[2].content] == ["tool_result", "text"]
    assert stage.record.stored[2].content[1]["text"] == "And say bye."
    assert stage.record.inbox == []
    assert stage.events.of("prompt") == [{"text": "And say bye."}]


def test_what_the_user_sends_before_the_end_makes_the_turn_go_on(make_agent: MakeAgent, tmp_path: Path) -> None:
    stage = Stage(tmp_path, "Say hello in a file.")
    stage.record.stored.append(Message("assistant", [{"type": "text", "text": "Hello."}]))
    stage.record.inbox = ["And say bye in a file."]

    assert isinstance(stage.run(make_agent([Reply(), Reply([{"text": "Bye."}])])), Finished)

    assert stage.record.stored[2].content[0]["text"] == "And say bye in a file."
    assert stage.record.stored[-1].role == "assistant"
    assert stage.events.of("prompt") == [{"text": "And say bye in a file."}]


@sized
@pytest.mark.timeout(by_size(120, 900))  # all kills of an agent that takes a second for each
def test_no_prompt_is_lost_by_a_kill(make_agent: MakeAgent, tmp_path: Path) -> None:
    agent = make_agent(REPLIES)
    for at in range(1, 20, step_of(agent)):
        folder = tmp_path / str(at)
        folder.mkdir()
        stage = Stage(folder, PROMPT)
        stage.record.inbox = ["And say bye."]
        with pytest.raises(Killed):
            stage.run(agent, kill_at=at)
        stage.run(agent)

        said = [block["text"] for one in stage.record.stored for block in one.content if block["type"] == "text"]
        assert said.count("And say bye.") == 1


def test_a_finished_turn_that_is_attempted_again_is_finished(make_agent: MakeAgent, tmp_path: Path) -> None:
    stage = Stage(tmp_path, PROMPT)
    agent = make_agent(REPLIES)
    ending = stage.run(agent)
    stored = len(stage.record.stored)

    assert stage.run(agent) == ending
    assert len(stage.record.stored) == stored
    assert not stage.events.of("retracted")


def test_a_prompt_after_calls_that_were_left_without_results(make_agent: MakeAgent, tmp_path: Path) -> None:
    """As after a turn that was cancelled inside a command."""
    stage = Stage(tmp_path, "Sleep.\n```sh\nsleep 60\n```")
    called = [
        {"type": "tool_use", "id": f"c{number}", "name": "bash", "input": {"command": "true"}} for number in (1, 2, 3)
    ]
    stage.record.stored.append(Message("assistant", called))
    stage.record.start_call("c1", "bash", {"command": "true"})
    stage.record.finish_call("c1", {"content": "fine", "is_error": False})
    stage.record.start_call("c2", "bash", {"command": "true"})
    stage.record.stored.append(Message("user", [{"type": "text", "text": "Now write hello."}]))

    assert isinstance(stage.run(make_agent([Reply(), *WRITE])), Finished)

    told = [block.get("content") for block in stage.record.stored[2].content]
    assert told[0] == "fine"
    assert "outcome unknown" in str(told[1])
    assert "Not run" in str(told[2])
    assert stage.record.stored[2].content[3]["text"] == "Now write hello."
    assert problem_of(stage) is None


def test_a_cancelled_command_ends_at_once(make_agent: MakeAgent, tmp_path: Path) -> None:
    stage = Stage(tmp_path, "```sh\nsleep 60\n```")

    def cancel() -> None:
        eventually(lambda: stage.sandbox._running, what="the command")
        stage.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(NotOursError):
        stage.run(make_agent(SLEEP))
    canceller.join()


def test_a_turn_without_time_left_stops_before_the_next_step(make_agent: MakeAgent, tmp_path: Path) -> None:
    stage = Stage(tmp_path, PROMPT)

    ending = stage.run(make_agent(REPLIES), seconds=0.0)

    assert ending == Finished("", reason="time")
    assert len(stage.record.stored) == 1


def test_a_turn_without_a_prompt_fails(make_agent: MakeAgent, tmp_path: Path) -> None:
    with pytest.raises(Fail, match="the conversation is empty"):
        Stage(tmp_path).run(make_agent(REPLIES))
