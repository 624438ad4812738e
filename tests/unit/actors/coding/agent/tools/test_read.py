import pytest

from actors.coding.agent.tools.read import Read
from actors.coding.agent.tools.tool import ToolError
from tests.support.folder_sandbox import FolderSandbox
from tests.unit.actors.coding.agent.tools.conftest import MakeCall


def test_lines_have_their_numbers(call: MakeCall, sandbox: FolderSandbox) -> None:
    sandbox.write("a.txt", b"one\ntwo\n")

    assert Read().run(call(path="a.txt")).content == "     1\tone\n     2\ttwo"


def test_a_part_says_of_how_many_lines_it_is(call: MakeCall, sandbox: FolderSandbox) -> None:
    sandbox.write("a.txt", b"".join(b"line %d\n" % number for number in range(1, 5001)))

    part = Read().run(call(path="a.txt", first=10, lines=2)).content
    assert part == "    10\tline 10\n    11\tline 11\n[lines 10 to 11 of 5000]"
    assert Read().run(call(path="a.txt")).content.endswith("\n[lines 1 to 2000 of 5000]")


def test_long_lines_and_long_files_are_cut_and_say_so(call: MakeCall, sandbox: FolderSandbox) -> None:
    sandbox.write("wide.txt", b"x" * 3000)
    sandbox.write("long.txt", (b"y" * 1000 + b"\n") * 1000)

    assert Read().run(call(path="wide.txt")).content.endswith("x [… 1,000 characters left out]")
    assert "characters left out here" in Read().run(call(path="long.txt")).content


def test_an_empty_file_is_said_to_be_empty(call: MakeCall, sandbox: FolderSandbox) -> None:
    sandbox.write("a.txt", b"")

    assert Read().resume(call(path="a.txt")).content == "[the file is empty]"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"a\0b", "a.txt is a binary file of 3 bytes"),
        (b"gr\xfc\xdfe", "a.txt is not UTF-8 text: use bash"),
        (b"x" * 4_000_001, "a.txt is larger than 4,000,000 bytes: look at parts of it with bash"),
    ],
)
def test_what_is_no_text_to_read_is_refused(call: MakeCall, sandbox: FolderSandbox, data: bytes, problem: str) -> None:
    sandbox.write("a.txt", data)

    with pytest.raises(ToolError, match=problem):
        Read().run(call(path="a.txt"))


def test_lines_beyond_the_end_are_refused(call: MakeCall, sandbox: FolderSandbox) -> None:
    sandbox.write("a.txt", b"one\n")

    with pytest.raises(ToolError, match="the file has 1 lines"):
        Read().run(call(path="a.txt", first=9))
