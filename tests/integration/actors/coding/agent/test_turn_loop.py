"""Turns of both agents over the record in Postgres, killed at each of its writes."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from actors.coding.agent.claude_loop import ClaudeLoop
from actors.coding.agent.runner import AgentRunner, Asks, Finished, Turn
from actors.coding.agent.scripted import Scripted
from bridge import Job, NotOursError
from bridge.sessions import Record, open_record
from tests.support.fake_anthropic import FakeAnthropic
from tests.support.folder_sandbox import FolderSandbox
from tests.support.kept_events import KeptEvents
from tests.support.kills import Killed, Kills
from tests.support.message_rules import broken_rule
from tests.support.rows import Rows
from tests.support.scripted_replies import Reply
from tests.support.turns import USER, TurnSteps, said

PROMPT = "```sh\necho one >> log.txt\n```\n```sh\necho two >> log.txt; cat log.txt\n```\n"
REPLIES = [
    Reply([{"thinking": "First."}, {"tool": "bash", "input": {"command": "echo one >> log.txt"}, "id": "c1"}]),
    Reply([{"tool": "bash", "input": {"command": "echo two >> log.txt; cat log.txt"}, "id": "c2"}]),
    Reply([{"text": "All done."}]),
]
_WRITES = {"add_message", "replace_messages", "start_call", "finish_call", "reserve", "spend"}


class Killing:
    """A record that is killed before or after a write."""

    def __init__(self, record: Record, kills: Kills) -> None:
        self._record, self._kills = record, kills

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._record, name)
        return self._around(name, found) if name in _WRITES else found

    def _around(self, name: str, write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self._kills.point(f"before {name}")
            result = write(*args)
            self._kills.point(f"after {name}")
            return result

        return call


class Session:
    """A session whose turn is attempted again and again."""

    def __init__(self, turns: TurnSteps, folder: Path) -> None:
        self.turns, self.id = turns, turns.add_session()
        self.job, self.held = turns.start(self.id)
        self.sandbox = FolderSandbox(folder)
        open_record(self.job).add_message(said("user", PROMPT))

    def attempt_again(self) -> None:
        self.job, self.held = self.turns.again(self.held)

    def run(self, agent: AgentRunner, kills: Kills | None = None) -> Any:
        return run(agent, self.job, self.sandbox, kills or Kills())


def run(agent: AgentRunner, job: Job, sandbox: FolderSandbox, kills: Kills) -> Any:
    record = open_record(job)
    sandbox.kills = kills
    turn = Turn(
        session_id=job.session_id or UUID(int=0),
        number=record.number,
        record=Killing(record, kills),
        model="claude-sonnet-5-5",
        seconds=60.0,
        is_cancelled=lambda: False,
        interruptible=lambda _end: nullcontext(),
        is_resumed=job.fence > 1,
    )
    return agent.run_turn(turn, sandbox, KeptEvents())


@pytest.fixture(params=["claude", "scripted"])
def agent(request: pytest.FixtureRequest) -> Iterator[AgentRunner]:
    if request.param == "scripted":
        yield Scripted(piece_seconds=0)
        return
    with FakeAnthropic(REPLIES) as fake:
        yield ClaudeLoop("key", fake.url, first_wait_seconds=0.01)
        assert [broken_rule(asked.body) for asked in fake.requests] == [None] * len(fake.requests)


def test_a_turn_that_is_killed_at_any_write_goes_on(
    turns: TurnSteps, rows: Rows, agent: AgentRunner, tmp_path: Path
) -> None:
    for at in range(1, 60):
        folder = tmp_path / str(at)
        folder.mkdir()
        session = Session(turns, folder)
        try:
            session.run(agent, Kills(at))
        except Killed:
            if at % 2:
                session.sandbox.forget()  # its commands are lost as well
            session.attempt_again()
            assert isinstance(session.run(agent), Finished)
        else:
            assert at > 20
            break

        assert max(session.sandbox.ran.values(), default=0) <= 1
        calls = rows.all("SELECT result FROM session_calls WHERE session_id = %s", [session.id])
        assert all(call["result"] is not None for call in calls)
        if not any("outcome unknown" in call["result"]["content"] for call in calls):
            assert (folder / "log.txt").read_text() == "one\ntwo\n"
        events = turns.events(session.id)
        assert events.count("tool_started") == events.count("tool_finished") == len(calls)
        roles = rows.all("SELECT role FROM session_messages WHERE session_id = %s ORDER BY position", [session.id])
        assert [row["role"] for row in roles] == (["user", "assistant"] * 3)[: len(roles)]


def test_an_attempt_that_was_replaced_runs_nothing_more(turns: TurnSteps, agent: AgentRunner, tmp_path: Path) -> None:
    session = Session(turns, tmp_path)
    replaced = session.job
    session.attempt_again()

    with pytest.raises(NotOursError):
        run(agent, replaced, session.sandbox, Kills())

    assert session.sandbox.ran == {}


def test_a_question_is_answered_by_a_later_job(turns: TurnSteps, rows: Rows, tmp_path: Path) -> None:
    replies = [Reply([{"tool": "ask", "input": {"question": "Which?"}, "id": "q"}]), Reply([{"text": "Then b."}])]
    session = Session(turns, tmp_path)
    with FakeAnthropic(replies) as fake:
        agent = ClaudeLoop("key", fake.url)
        assert session.run(agent) == Asks("q", "Which?")
        open_record(session.job).ask("q", "Which?")
        turns.steps.complete(session.held)
        rows.all("SELECT * FROM answer_question(%s, %s, 'q', 'b')", [session.id, USER])

        job, _ = turns.start(job_id=rows.value("SELECT id FROM coding_jobs WHERE status = 'pending'"))
        open_record(job).finish_call("q", {"content": job.payload["answer"]["text"], "is_error": False})

        assert run(agent, job, session.sandbox, Kills()) == Finished("Then b.")
    assert broken_rule(fake.requests[-1].body) is None
    assert fake.requests[-1].body["messages"][-1]["content"][0]["content"] == "b"
