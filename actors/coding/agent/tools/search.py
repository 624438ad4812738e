"""The tool `search`: finds lines by a pattern, or files by their names, with grep and find inside the sandbox."""

from typing import ClassVar

from actors.coding.agent.runner import Json
from actors.coding.agent.tools.output import Kept, TerminalText, without_colours
from actors.coding.agent.tools.tool import Invocation, Result, Tool, ToolError
from actors.coding.sandbox.base import Exit

_SECONDS = 60  # grep reads a gigabyte in a few seconds
_LINES = 300  # of what was found: more is a pattern that is too wide
# The arguments come as "$@": nothing of the call is read as shell.
_LIMITED = f'"$@" | cut -c1-500 | head -n {_LINES + 1}'
_PASSED_OVER = (".git", "node_modules", ".venv", "__pycache__")


class Search(Tool):
    name = "search"
    description = (
        "Find in the workspace. With `pattern`: the lines that match this extended regular expression, with file and "
        "number. Without: the files whose names match `files`. Folders such as .git and node_modules are passed over."
    )
    schema: ClassVar[Json] = {
        "type": "object",
        "properties": {
            "pattern": {"type": "string"},
            "files": {"type": "string", "description": "Names of files: *.py, or src/**/*.ts."},
            "folder": {"type": "string", "description": "Where to look, relative to the workspace."},
            "any_case": {"type": "boolean"},
        },
        "required": [],
    }

    def run(self, call: Invocation) -> Result:
        if not call.input.get("pattern") and not call.input.get("files"):
            raise ToolError("`pattern` or `files` is needed")
        found, problems, ended = _run(call, _grep(call) if call.input.get("pattern") else _find(call))
        if ended.code is None:
            raise ToolError(f"the search was ended ({ended.reason}) after {_SECONDS} s: look in one folder")
        lines = found.splitlines()
        if not lines:
            return Result(problems.strip() or "[nothing found]", is_error=bool(problems.strip()))
        note = f"\n[more than {_LINES} found: narrow the search]" if len(lines) > _LINES else ""
        return Result("\n".join(lines[:_LINES]) + note)

    def resume(self, call: Invocation) -> Result:
        return self.run(call)


def _run(call: Invocation, command: list[str]) -> tuple[str, str, Exit]:
    texts = {"stdout": TerminalText(), "stderr": TerminalText()}
    kept = {"stdout": Kept(), "stderr": Kept(1000, 1000)}  # of its complaints, enough to see what is wrong

    def add(stream: str, data: bytes) -> None:
        kept[stream].add(without_colours(texts[stream].feed(data)))

    argv = ["sh", "-c", _LIMITED, "search", *command]
    seconds = max(1.0, min(_SECONDS, call.seconds))  # 0 would end it at once
    with call.interruptible(lambda: call.sandbox.end(call.call_id)):
        ended = call.sandbox.run(call.call_id, argv, add, seconds=seconds)
    return kept["stdout"].text(), kept["stderr"].text(), ended


def _grep(call: Invocation) -> list[str]:
    options = ["-rnHIE", "--max-count=100", *(f"--exclude-dir={name}" for name in _PASSED_OVER)]
    if call.input.get("any_case"):
        options.append("-i")
    if files := call.input.get("files"):
        options.append(f"--include={files.rpartition('/')[2]}")  # grep compares names, not paths
    return ["grep", *options, "-e", call.input["pattern"], "--", _folder(call)]


def _find(call: Invocation) -> list[str]:
    files = call.input["files"]
    how = ["-path", "*/" + files.replace("**/", "*").lstrip("/")] if "/" in files else ["-name", files]
    names = [part for name in _PASSED_OVER for part in ("-o", "-name", name)][1:]
    return ["find", _folder(call), "(", *names, ")", "-prune", "-o", "-type", "f", *how, "-print"]


def _folder(call: Invocation) -> str:
    """With ./ in front: a name that begins with a dash is no option then."""
    folder = str(call.input.get("folder") or ".")
    return folder if folder.startswith(("/", ".")) else f"./{folder}"
