"""The tool `edit`: replaces a text in a file, or writes a whole file. An edit in doubt is found out by hashes."""

from contextlib import suppress
from hashlib import sha256
from typing import ClassVar

from actors.coding.agent.runner import Json
from actors.coding.agent.tools.diff import diff
from actors.coding.agent.tools.read import read_text
from actors.coding.agent.tools.tool import UNKNOWN, Invocation, Result, Tool, ToolError

_NONE = "none"  # the hash of a file that is not there


class Edit(Tool):
    name = "edit"
    description = (
        "Change a text file of the workspace. With `old`: that text, which must occur once, is replaced by `new`; with "
        "`all`, each place is. Without `old`: the file is written with `new` as its whole content, created if need be."
    )
    schema: ClassVar[Json] = {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Relative to the workspace."},
            "old": {"type": "string", "description": "Exactly as in the file, line breaks and blanks included."},
            "new": {"type": "string"},
            "all": {"type": "boolean"},
        },
        "required": ["path", "new"],
    }

    def prepare(self, call: Invocation) -> Json:
        before = _current(call)
        return {**call.input, "before": _hash(before), "after": _hash(_changed(before, call.input))}

    def run(self, call: Invocation) -> Result:
        path, before = call.input["path"], _current(call)
        after = _changed(before, call.input)
        call.sandbox.write(path, after.encode())
        kind, done = ("added", "created") if before is None else ("modified", "changed")
        change = {"callId": call.call_id, "path": path, "change": kind, "diff": diff(path, before, after)}
        return Result(f"{path} is {done}.", events=[("file_change", change)])

    def resume(self, call: Invocation) -> Result:
        found = _hash(_current(call))
        if found == call.input.get("after"):
            return Result(
                f"{call.input['path']} is changed.",
                events=[("file_change", {"callId": call.call_id, "path": call.input["path"]})],
            )
        return self.run(call) if found == call.input.get("before") else UNKNOWN


def _current(call: Invocation) -> str | None:
    with suppress(FileNotFoundError):
        return read_text(call, call.input["path"])
    return None


def _changed(before: str | None, call_input: Json) -> str:
    """The text after the edit. Raises ToolError when `old` does not say one place."""
    path, old, new = call_input["path"], call_input.get("old"), str(call_input["new"])
    if not old:
        return new
    if before is None:
        raise ToolError(f"there is no file {path}: leave `old` out to create it")
    count = before.count(old)
    if count == 0:
        raise ToolError(f"`old` does not occur in {path}: read the file, and copy the text exactly")
    if count > 1 and not call_input.get("all"):
        raise ToolError(f"`old` occurs {count} times in {path}: add lines around it, or set `all`")
    return before.replace(old, new)


def _hash(text: str | None) -> str:
    return _NONE if text is None else sha256(text.encode()).hexdigest()
