"""The stand-in for a first run without a key: a script in the place of the model. All else is real.

It runs each ```sh block of the prompt as a call of bash; without a block it writes a file. A block that fails makes the
attempt fail, so that a retry and a dead letter can be seen.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from actors.coding.agent.conversation import prompt_of, text_block
from actors.coding.agent.model import Reply
from actors.coding.agent.runner import Ending, Events, Message, Turn
from actors.coding.agent.shell_fences import shell_blocks
from actors.coding.agent.tools.registry import TOOLS
from actors.coding.agent.tools.tool import Tool
from actors.coding.agent.turn_loop import TurnLoop
from actors.coding.sandbox.base import Sandbox

logger = logging.getLogger(__name__)

STAND_IN = "Stand-in, no model"
_PIECE_SECONDS = 0.02  # between words: as fast as a model, so that text is seen to arrive
_FILE = "stand-in.md"
_UNKNOWN = "outcome unknown"  # what the result of an interrupted call says


class ScriptFailedError(Exception):
    """A block ended with an exit code other than 0, or exceeded a limit."""


class Scripted:
    """An `AgentRunner`. Each of its texts begins with `STAND_IN`, as each of its log lines."""

    name = "scripted"

    def __init__(self, *, tools: Mapping[str, Tool] = TOOLS, piece_seconds: float = _PIECE_SECONDS) -> None:
        self._tools, self._piece_seconds = tools, piece_seconds

    def run_turn(self, turn: Turn, sandbox: Sandbox, events: Events) -> Ending:
        logger.warning("%s: a script answers turn %d; with ANTHROPIC_API_KEY a model would", STAND_IN, turn.number)
        return TurnLoop(turn, sandbox, events, _Script(events, turn.number, self._piece_seconds), self._tools).run()


class _Script:
    """A `Model`. What it says next follows from the conversation, so that it goes on after an interruption."""

    def __init__(self, events: Events, turn_number: int, piece_seconds: float) -> None:
        self._events, self._turn_number, self._piece_seconds = events, turn_number, piece_seconds

    def reply(self, messages: Sequence[Message]) -> Reply:
        at = max(place for place, message in enumerate(messages) if prompt_of(message))
        prompt, step = prompt_of(messages[at]), sum(one.role == "assistant" for one in messages[at:])
        text, call = self._step(prompt, step)
        for result in messages[-1].content if step > 0 else ():
            if _UNKNOWN in str(result.get("content")):
                text, call = f"the outcome of block {step} is not known, I stop here.", None
            elif result.get("is_error"):
                raise ScriptFailedError(f"{STAND_IN}: block {step} failed")
        text = f"{STAND_IN}: {text}"
        self._say(text, len(messages))
        calls = [{"type": "tool_use", "id": f"standin_{self._turn_number}_{len(messages)}", **call}] if call else []
        return Reply([text_block(text), *calls], "tool_use" if calls else "end_turn")

    def compacted(self, messages: Sequence[Message]) -> None:
        """A script reads only the last prompt."""

    def _step(self, prompt: str, step: int) -> tuple[str, dict[str, Any] | None]:
        blocks = shell_blocks(prompt)
        if step < len(blocks):
            return f"I run block {step + 1} of {len(blocks)}.", {"name": "bash", "input": {"command": blocks[step]}}
        if not blocks and step == 0:
            text = f"Turn {self._turn_number}, written by the stand-in.\n\n{prompt}\n"
            return f"your prompt holds no ```sh block, so I write {_FILE}.", _written(text)
        return "done. With ANTHROPIC_API_KEY set, a model works here.", None

    def _say(self, text: str, number: int) -> None:
        for word in text.split(" "):
            self._events.text("text", f"{word} ", {"message": number})
            time.sleep(self._piece_seconds)


def _written(text: str) -> dict[str, Any]:
    return {"name": "edit", "input": {"path": _FILE, "new": text}}
