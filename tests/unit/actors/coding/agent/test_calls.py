"""What a call gives when it cannot run. How calls survive kills is in test_turn_loop.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from actors.coding.agent.calls import Calls
from actors.coding.agent.runner import Asks, Call, Json
from actors.coding.agent.tools.registry import TOOLS
from actors.coding.agent.tools.tool import Invocation, Result, Tool
from actors.coding.sandbox.base import SandboxError
from bridge import NotOursError
from tests.support.kills import Kills
from tests.support.stage import Stage

Outcome = Callable[..., Json | Asks]


class Broken(Tool):
    name = "broken"
    description = "It breaks."
    schema: ClassVar[Json] = {"type": "object", "properties": {}}
    error: Exception = KeyError("gone")

    def run(self, call: Invocation) -> Result:
        raise self.error


@pytest.fixture
def broken() -> Broken:
    return Broken()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, "Hello?")


@pytest.fixture
def outcome(stage: Stage, broken: Broken) -> Outcome:
    class Runs:
        name = "runs"

        def __init__(self, block: Json, known: Call | None) -> None:
            self.block, self.known = block, known
            self.outcome: Any = None

        def run_turn(self, turn: Any, sandbox: Any, events: Any) -> Any:
            tools = {**TOOLS, broken.name: broken}
            self.outcome = Calls(turn, sandbox, events, tools, lambda: 60).outcome(self.block, self.known)

    def get(name: str, known: Call | None = None, **call_input: Any) -> Any:
        runs = Runs({"type": "tool_use", "id": "c", "name": name, "input": call_input}, known)
        stage.run(runs)
        return runs.outcome

    return get


@pytest.mark.parametrize(
    ("name", "call_input", "content"),
    [
        ("fly", {}, "There is no tool fly, only bash, read,"),
        ("bash", {}, "Not run: command is missing."),
        ("bash", {"cut_off": '{"comm'}, "Not run: your message was cut off"),
        ("read", {"path": "nothing.txt"}, "There is no file nothing.txt."),
        ("read", {"path": "folder"}, "folder is a folder, or goes through a file."),
        ("read", {"path": "../../etc/passwd"}, "../../etc/passwd is outside of the workspace"),
        ("edit", {"path": "nothing.txt", "old": "a", "new": "b"}, "there is no file nothing.txt"),
        ("broken", {}, "The tool failed (KeyError): try another way."),
    ],
)
def test_what_cannot_run_is_told_to_the_model(
    outcome: Outcome, stage: Stage, tmp_path: Path, name: str, call_input: Json, content: str
) -> None:
    (tmp_path / "folder").mkdir()

    result = outcome(name, **call_input)

    assert isinstance(result, dict)
    assert result["is_error"]
    assert result["content"].startswith(content)
    assert [kind for kind, _ in stage.events.all] == ["tool_started", "tool_finished"]
    assert stage.record.finished == ["c"]


def test_what_is_wrong_with_a_file_is_told_in_the_words_of_the_system(outcome: Outcome, broken: Broken) -> None:
    broken.error = OSError(28, "No space left on device", "/somewhere/else")

    result = outcome("broken")

    assert isinstance(result, dict)
    assert result["content"] == "this: No space left on device."


@pytest.mark.parametrize("error", [SandboxError("gone"), NotOursError("replaced")])
def test_what_ends_the_attempt_goes_through(outcome: Outcome, stage: Stage, broken: Broken, error: Exception) -> None:
    broken.error = error

    with pytest.raises(type(error)):
        outcome("broken")

    assert stage.record.finished == []


def test_a_finished_call_does_not_run(outcome: Outcome, stage: Stage) -> None:
    known = Call("c", "bash", {}, is_finished=True, result={"content": "before", "is_error": False})

    assert outcome("bash", known, command="echo again") == known.result
    assert stage.sandbox.ran == {}
    assert stage.events.all == []


def test_all_is_stored_before_a_call_starts_and_before_it_is_finished(outcome: Outcome, stage: Stage) -> None:
    flushed: list[str] = []
    stage.events.flush = lambda: flushed.extend(stage.record.kills.passed[-1:] or ["nothing"])  # type: ignore[method-assign]

    outcome("bash", command="true")

    assert flushed == ["nothing", "after a command"]
    assert isinstance(stage.record.kills, Kills)
