import pytest

from actors.coding.agent.runner import Json
from actors.coding.agent.tools.search import Search
from actors.coding.agent.tools.tool import ToolError
from tests.support.folder_sandbox import FolderSandbox
from tests.unit.actors.coding.agent.tools.conftest import MakeCall


@pytest.fixture(autouse=True)
def files(sandbox: FolderSandbox) -> None:
    sandbox.write("main.py", b"import os\nprint('Hello')\n")
    sandbox.write("src/app.ts", b"hello();\n")
    sandbox.write("src/deep/util.ts", b"export {}\n")
    sandbox.write(".git/config", b"hello\n")
    sandbox.write("node_modules/m/index.ts", b"hello\n")
    sandbox.write("-e", b"hello from a name like an option\n")


@pytest.mark.parametrize(
    ("call_input", "found"),
    [
        ({"pattern": "hello"}, ["./-e:1:hello from a name like an option", "./src/app.ts:1:hello();"]),
        ({"pattern": "hello", "files": "*.py", "any_case": True}, ["./main.py:2:print('Hello')"]),
        ({"pattern": "h(e|x)llo\\(", "folder": "src"}, ["./src/app.ts:1:hello();"]),
        ({"pattern": "hello", "folder": "-e"}, ["./-e:1:hello from a name like an option"]),
        ({"files": "*.ts"}, ["./src/app.ts", "./src/deep/util.ts"]),
        ({"files": "src/**/*.ts"}, ["./src/app.ts", "./src/deep/util.ts"]),
        ({"files": "deep/*.ts"}, ["./src/deep/util.ts"]),
        ({"pattern": "$(touch hacked)`touch hacked`;touch hacked"}, ["[nothing found]"]),
    ],
)
def test_lines_and_files_are_found(call: MakeCall, sandbox: FolderSandbox, call_input: Json, found: list[str]) -> None:
    result = Search().run(call(call_input))

    assert (sorted(result.content.splitlines()), result.is_error) == (found, False)
    assert not (sandbox.folder / "hacked").exists()


def test_too_much_is_cut_and_says_so(call: MakeCall, sandbox: FolderSandbox) -> None:
    for number in range(4):
        sandbox.write(f"many/{number}.txt", b"needle\n" * 100)

    lines = Search().run(call(pattern="needle")).content.splitlines()

    assert (len(lines), lines[-1]) == (301, "[more than 300 found: narrow the search]")


def test_a_search_for_nothing_is_refused(call: MakeCall) -> None:
    with pytest.raises(ToolError, match="is needed"):
        Search().run(call(folder="src"))


def test_what_grep_complains_of_is_told(call: MakeCall, sandbox: FolderSandbox) -> None:
    sandbox.write("many.txt", b"x\n")

    result = Search().resume(call(pattern="(", folder="many.txt"))

    assert "nmatched" in result.content
