"""What every session of a storm is asked, what its model says, and so what must be stored of it at its end.

Each command writes its call's id into a file of the workspace: what has run is told by that, and by nothing of ours.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.support.scripted_replies import Reply

PROMPT = "Write each of the lines, one after the other."
EFFECTS = "effects.txt"
_WRITING_SECONDS = 0.15  # of a command, after its line: a kill meets some of them there
_DELAY_SECONDS = 0.02  # between two pieces of text
_TEXT = "I go on with the next one, and say so at some length, so that it takes a while. "


def _command(call_id: str) -> dict[str, Any]:
    command = f"echo {call_id} >> {EFFECTS}; sleep {_WRITING_SECONDS}"
    return {"tool": "bash", "id": call_id, "input": {"command": command}}


REPLIES = [
    Reply([{"text": _TEXT}, _command("call_1")], delay=_DELAY_SECONDS),
    Reply([_command("call_2"), _command("call_3")]),
    Reply([{"tool": "edit", "id": "call_4", "input": {"path": "note.txt", "new": "Lines\n"}}], delay=_DELAY_SECONDS),
    Reply([{"text": _TEXT}, _command("call_5")], delay=_DELAY_SECONDS),
    Reply([{"text": "All lines are written."}], delay=_DELAY_SECONDS),
]
COMMANDS = ("call_1", "call_2", "call_3", "call_5")


def write_script(path: Path) -> None:
    path.write_text(json.dumps([asdict(reply) for reply in REPLIES]))


def said(content: list[dict[str, Any]]) -> list[Any]:
    """A message of the assistant as the script has it: its texts and the ids of its calls."""
    return [block.get("text", block.get("id")) for block in content]


EXPECTED = [[block.get("text", block.get("id")) for block in reply.blocks] for reply in REPLIES]
