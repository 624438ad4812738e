"""The tools in a real sandbox."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from actors.coding.agent.calls import Calls
from actors.coding.agent.runner import Call, Json, Turn
from actors.coding.agent.tools.registry import TOOLS
from actors.coding.sandbox.base import Sandbox
from tests.support.kept_record import KeptRecord
from tests.support.sandboxes import SPEC, local_provider


class Session:
    """A session's sandbox, and calls in it. Each attempt is one with a higher fence."""

    def __init__(self, folder: Path) -> None:
        self.id = uuid4()
        self.record = KeptRecord("Hello?")
        self.provider = local_provider(folder)
        self._fence = 0
        self.sandbox: Sandbox = self.attempt()

    def attempt(self) -> Sandbox:
        self._fence += 1
        self.sandbox = self.provider.obtain(self.id, self._fence, SPEC)
        return self.sandbox

    def call(self, name: str, call_id: str, known: Call | None = None, **call_input: Any) -> Json:
        turn = Turn(
            session_id=self.id,
            number=1,
            record=self.record,
            model="m",
            seconds=60,
            is_cancelled=lambda: False,
            interruptible=lambda _end: nullcontext(),
        )
        calls = Calls(turn, self.sandbox, self.record.events, TOOLS, lambda: 60)
        outcome = calls.outcome({"id": call_id, "name": name, "input": call_input}, known)
        assert isinstance(outcome, dict)
        return outcome


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path / "workspaces")
    yield session
    session.provider.destroy(session.id)


def test_each_tool_works_there(session: Session) -> None:
    session.call("edit", "1", path="src/app.py", new="print('hello')\n")
    session.call("edit", "2", path="src/app.py", old="hello", new="good day")

    assert session.call("read", "3", path="src/app.py")["content"] == "     1\tprint('good day')"
    assert session.call("search", "4", pattern="good")["content"] == "./src/app.py:1:print('good day')"
    assert session.call("search", "5", files="src/**/*.py")["content"] == "./src/app.py"
    assert session.call("bash", "6", command="cat src/app.py; exit 3") == {
        "content": "print('good day')\n[exit code 3]",
        "is_error": True,
    }
    assert "cannot show a port" in session.call("preview", "7", port=3000)["content"]


@pytest.mark.parametrize(
    ("tool", "call_input", "content"),
    [
        ("read", {"path": "nothing.txt"}, "There is no file nothing.txt."),
        ("read", {"path": "folder"}, "folder is a folder, or goes through a file."),
        ("read", {"path": "../../../etc/passwd"}, "../../../etc/passwd is outside of the workspace"),
        ("read", {"path": "/etc/passwd"}, "/etc/passwd is outside of the workspace"),
        ("read", {"path": "out"}, "out is outside of the workspace"),
        ("edit", {"path": "folder", "new": "x"}, "folder is a folder, or goes through a file."),
        ("bash", {"command": "a\0b"}, "Not run: command holds a character"),
        ("bash", {"command": "sleep 30", "seconds": 1}, "[ended after 1 s]"),
        ("search", {"pattern": "(", "folder": "folder"}, "grep: "),
        ("read", {"path": "x" * 5000}, "x"),
    ],
)
def test_what_goes_wrong_there_is_told(session: Session, tool: str, call_input: Json, content: str) -> None:
    session.call("bash", "before", command="mkdir folder; ln -s /etc/passwd out")

    result = session.call(tool, "call", **call_input)

    assert result["is_error"]
    assert result["content"].startswith(content)


def test_the_next_attempt_of_the_same_worker_gets_what_a_command_gives(session: Session) -> None:
    """It is attached to, not run again."""
    session.sandbox.run("c", ["bash", "-c", "echo once >> log; echo out"], lambda *_: None, seconds=30)
    session.record.start_call("c", "bash", {"command": "echo once >> log; echo out"})

    result = session.call("bash", "c", session.record.known["c"], command="echo once >> log; echo out")

    assert result["content"] == "out"
    assert session.call("bash", "d", command="cat log")["content"] == "once"


def test_the_next_attempt_with_a_higher_fence_is_told_of_what_was_lost(session: Session) -> None:
    began = threading.Event()

    def run_and_be_replaced() -> None:
        sandbox = session.sandbox
        with pytest.raises(Exception):  # noqa: B017 -- whichever way it ends
            sandbox.run("c", ["bash", "-c", "echo a; sleep 60"], lambda *_: began.set(), seconds=60)

    worker = threading.Thread(target=run_and_be_replaced)
    worker.start()
    began.wait(10)
    session.record.start_call("c", "bash", {"command": "echo a; sleep 60"})
    session.attempt()
    worker.join(20)

    result = session.call("bash", "c", session.record.known["c"], command="echo a; sleep 60")

    assert result["is_error"]
    assert "outcome unknown" in result["content"]
