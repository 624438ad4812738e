from typing import Any

import pytest

from actors.coding.agent.runner import Json
from actors.coding.agent.tools.edit import Edit
from actors.coding.agent.tools.tool import UNKNOWN, Result, ToolError
from tests.support.folder_sandbox import FolderSandbox
from tests.unit.actors.coding.agent.tools.conftest import MakeCall


def edited(call: MakeCall, **call_input: Any) -> tuple[Json, Result]:
    stored = Edit().prepare(call(**call_input))
    return stored, Edit().run(call(stored))


def test_a_text_is_replaced_and_the_change_shown(call: MakeCall, sandbox: FolderSandbox) -> None:
    sandbox.write("a.txt", b"one\r\ntwo\r\nthree")

    _, result = edited(call, path="a.txt", old="two", new="2")

    assert sandbox.read("a.txt", most=100) == b"one\r\n2\r\nthree"
    assert result.content == "a.txt is changed."
    [(kind, change)] = result.events
    assert (kind, change["path"], change["callId"]) == ("file_change", "a.txt", "call")
    assert "-two\r\n+2\r\n" in change["diff"]


def test_a_file_is_created_with_its_folders(call: MakeCall, sandbox: FolderSandbox) -> None:
    _, result = edited(call, path="src/new.py", new="x = 1\n")

    assert sandbox.read("src/new.py", most=100) == b"x = 1\n"
    assert result.content == "src/new.py is created."
    assert result.events[0][1]["change"] == "added"
    assert result.events[0][1]["diff"] == "--- /dev/null\n+++ b/src/new.py\n@@ -0,0 +1,1 @@\n+x = 1\n"


def test_each_place_is_replaced_when_asked_for(call: MakeCall, sandbox: FolderSandbox) -> None:
    sandbox.write("a.txt", b"x x x")

    edited(call, path="a.txt", old="x", new="y", all=True)

    assert sandbox.read("a.txt", most=100) == b"y y y"


@pytest.mark.parametrize(
    ("call_input", "problem"),
    [
        ({"path": "a.txt", "old": "zz", "new": ""}, "does not occur in a.txt"),
        ({"path": "a.txt", "old": "x", "new": ""}, "occurs 2 times in a.txt"),
        ({"path": "b.txt", "old": "x", "new": ""}, "there is no file b.txt"),
    ],
)
def test_an_edit_that_says_no_one_place_changes_nothing(
    call: MakeCall, sandbox: FolderSandbox, call_input: Json, problem: str
) -> None:
    sandbox.write("a.txt", b"x x")

    with pytest.raises(ToolError, match=problem):
        Edit().prepare(call(call_input))

    assert sandbox.read("a.txt", most=100) == b"x x"


def test_an_edit_in_doubt_that_was_done_is_not_done_again(call: MakeCall, sandbox: FolderSandbox) -> None:
    sandbox.write("a.txt", b"x")
    stored, _ = edited(call, path="a.txt", old="x", new="xx")

    result = Edit().resume(call(stored))

    assert (result.content, result.is_error) == ("a.txt is changed.", False)
    assert sandbox.read("a.txt", most=100) == b"xx"


def test_an_edit_in_doubt_that_was_not_done_is_done(call: MakeCall, sandbox: FolderSandbox) -> None:
    stored = Edit().prepare(call(path="new.txt", new="new"))

    assert Edit().resume(call(stored)).content == "new.txt is created."
    assert sandbox.read("new.txt", most=100) == b"new"


def test_an_edit_in_doubt_of_a_file_that_has_changed_since_is_unknown(call: MakeCall, sandbox: FolderSandbox) -> None:
    sandbox.write("a.txt", b"x")
    stored = Edit().prepare(call(path="a.txt", old="x", new="y"))
    sandbox.write("a.txt", b"z")

    assert Edit().resume(call(stored)) is UNKNOWN
