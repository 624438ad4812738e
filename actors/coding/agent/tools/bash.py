"""The tool `bash`: runs a command in the sandbox. One that an interrupted attempt has started is waited for."""

import shlex
from collections import defaultdict
from typing import ClassVar

from actors.coding.agent.runner import Json
from actors.coding.agent.tools.output import Kept, TerminalText, without_colours
from actors.coding.agent.tools.tool import UNKNOWN, Invocation, Result, Tool, ToolError
from actors.coding.sandbox.base import Exit

_SECONDS = 600  # unless the call asks for another time: tests of a large project take minutes
_COMMAND_BYTES = 128 * 1024 - 1  # Linux limits each argument of a program to 128 kB (MAX_ARG_STRLEN), with its end byte
_SHOWN = 1_000_000  # characters of output in events, for each call: more than anybody reads


class Bash(Tool):
    name = "bash"
    description = (
        "Run a command with bash in the workspace, and get its output and exit code. Each call is a new shell: neither "
        "the folder nor variables last. Commands have no input, and no terminal unless asked for. A command that is to "
        "go on running (a server) must be put in the background with its output in a file. There may be no network."
    )
    schema: ClassVar[Json] = {
        "type": "object",
        "properties": {
            "command": {"type": "string"},
            "terminal": {
                "type": "boolean",
                "description": "Give it a terminal, as some programs want. Without it: pipes.",
            },
            "seconds": {"type": "number", "description": f"The most it may take. Without it: {_SECONDS}."},
        },
        "required": ["command"],
    }

    def run(self, call: Invocation) -> Result:
        if len(call.input["command"].encode()) > _COMMAND_BYTES:
            raise ToolError("the command is larger than 128 kB: write it to a file with edit, and run that")
        output = _Output(call)
        seconds = max(1.0, min(float(call.input.get("seconds", _SECONDS)), call.seconds))  # 0 would end it at once
        argv = ["bash", "-c", call.input["command"]]
        if call.input.get("terminal"):
            argv = ["script", "-qefc", f"exec {shlex.join(argv)}", "/dev/null"]  # of util-linux, in every Debian
        with call.interruptible(lambda: call.sandbox.end(call.call_id)):
            ended = call.sandbox.run(call.call_id, argv, output.add, seconds=seconds)
        return _result(output.end(), ended, seconds)

    def resume(self, call: Invocation) -> Result:
        return self.run(call) if call.sandbox.has(call.call_id) else UNKNOWN


class _Output:
    """Shows the output while it comes, and keeps its ends for the model."""

    def __init__(self, call: Invocation) -> None:
        self._call = call
        self._streams: defaultdict[str, TerminalText] = defaultdict(TerminalText)
        self._kept = Kept()
        self._shown = 0

    def add(self, stream: str, data: bytes) -> None:
        self._take(self._streams[stream].feed(data))

    def end(self) -> str:
        """What the model gets; a terminal writes CR LF."""
        for stream in self._streams.values():
            self._take(stream.feed(b"", is_last=True))
        return self._kept.text().replace("\r\n", "\n")

    def _take(self, text: str) -> None:
        self._kept.add(without_colours(text))
        room = _SHOWN - self._shown
        self._shown += len(text)
        if text and room > 0:
            note = "\n[more output is not shown]\n" if len(text) > room else ""
            self._call.events.text("terminal", text[:room] + note, {"callId": self._call.call_id})


def _result(output: str, ended: Exit, seconds: float) -> Result:
    notes = []
    if ended.output_cut:
        notes.append("[the sandbox did not keep all of the output]")
    if ended.code is None:
        notes.append(_reason(ended.reason, seconds))
    elif ended.code:
        notes.append(f"[exit code {ended.code}]")
    text = "\n".join([output.rstrip("\n"), *notes]) if output else "\n".join(notes)
    return Result(text or "[no output, exit code 0]", is_error=ended.code != 0)


def _reason(reason: str | None, seconds: float) -> str:
    match reason:
        case "time":
            return f"[ended after {seconds:g} s]"
        case "ended":  # by us: its worker stops, or its job is cancelled
            return "[interrupted, outcome unknown: it was stopped before its end. Check first.]"
        case _:
            return f"[ended: {reason}]"
