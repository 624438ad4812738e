"""The tool `read`: shows a text file with the numbers of its lines."""

from typing import ClassVar

from actors.coding.agent.runner import Json
from actors.coding.agent.tools.output import bounded
from actors.coding.agent.tools.tool import Invocation, Result, Tool, ToolError

_MOST_BYTES = 4_000_000  # of a file: what is larger is no source text, and bash can show parts of it
_LINES = 2000  # shown unless the call asks for another number
_WIDEST = 2000  # characters of a line: beyond are minified files


class Read(Tool):
    name = "read"
    description = "Show a text file of the workspace, with the numbers of its lines."
    schema: ClassVar[Json] = {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Relative to the workspace."},
            "first": {"type": "integer", "description": "The number of the first line to show."},
            "lines": {"type": "integer", "description": f"How many. Without it: {_LINES}."},
        },
        "required": ["path"],
    }

    def run(self, call: Invocation) -> Result:
        lines = read_text(call, call.input["path"]).split("\n")
        lines = lines[:-1] if lines[-1] == "" else lines
        first = max(1, call.input.get("first", 1))
        shown = lines[first - 1 : first - 1 + max(1, call.input.get("lines", _LINES))]
        if not lines:
            return Result("[the file is empty]")
        if not shown:
            raise ToolError(f"the file has {len(lines)} lines")
        text = "\n".join(f"{number:>6}\t{_narrow(line)}" for number, line in enumerate(shown, first))
        last = first + len(shown) - 1
        note = f"\n[lines {first} to {last} of {len(lines)}]" if len(shown) < len(lines) else ""
        return Result(bounded(text, head=60_000, tail=10_000) + note)  # a file is read from its beginning on

    def resume(self, call: Invocation) -> Result:
        return self.run(call)


def read_text(call: Invocation, path: str) -> str:
    """The whole text of a file. Raises OSError, and ToolError for one that is binary or too large."""
    data = call.sandbox.read(path, most=_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ToolError(f"{path} is larger than {_MOST_BYTES:,} bytes: look at parts of it with bash")
    if b"\0" in data[:8000]:  # as git decides it
        raise ToolError(f"{path} is a binary file of {len(data):,} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ToolError(f"{path} is not UTF-8 text: use bash") from None


def _narrow(line: str) -> str:
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]} [… {len(line) - _WIDEST:,} characters left out]"
