"""Runs the calls of tools, in the order that makes a turn go on where it was: started, run, finished; each stored."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from actors.coding.agent.model import CUT_OFF
from actors.coding.agent.runner import Asks, Call, Events, Json, Turn
from actors.coding.agent.tools.schema import broken_rule
from actors.coding.agent.tools.tool import Invocation, Result, Tool, ToolError
from actors.coding.sandbox.base import Sandbox, SandboxError
from bridge import Fail, Release, Retry
from bridge.errors import BridgeError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Calls:
    """The calls of one turn. `seconds_left()` is what remains of its time."""

    def __init__(
        self, turn: Turn, sandbox: Sandbox, events: Events, tools: Mapping[str, Tool], seconds_left: Callable[[], float]
    ) -> None:
        self._turn, self._sandbox, self._events, self._tools = turn, sandbox, events, tools
        self._seconds_left = seconds_left

    def outcome(self, block: Json, known: Call | None) -> Json | Asks:
        """The result of a call, as it is stored. `known` is what the record has of it: a finished call does not run."""
        if known is not None and known.is_finished:
            return known.result or {"content": ""}
        outcome = self._start(block) if known is None else self._resume(block, known)
        if isinstance(outcome, Asks):
            return outcome
        result = {"content": outcome.content, "is_error": outcome.is_error}
        finished = {
            "callId": block["id"],
            "tool": block["name"],
            "content": outcome.content,
            "isError": outcome.is_error,
        }
        self._events.flush()
        self._turn.record.finish_call(
            block["id"], result, self._redacted([*outcome.events, ("tool_finished", finished)])
        )
        return result

    def _start(self, block: Json) -> Result | Asks:
        call, refusal = self._invocation(block), self._refusal(block)
        prepared: Json | Result
        prepared = refusal if refusal is not None else _told(call, lambda: self._tools[block["name"]].prepare(call))
        stored = call.input if isinstance(prepared, Result) else prepared
        started = {"callId": call.call_id, "tool": block["name"], "input": call.input}
        self._events.flush()
        self._turn.record.start_call(call.call_id, block["name"], stored, self._redacted([("tool_started", started)]))
        if isinstance(prepared, Result):
            return prepared
        return _told(call, lambda: self._tools[block["name"]].run(replace(call, input=stored)))

    def _resume(self, block: Json, known: Call) -> Result | Asks:
        call, refusal = replace(self._invocation(block), input=known.input), self._refusal(block)
        return refusal if refusal is not None else _told(call, lambda: self._tools[block["name"]].resume(call))

    def _invocation(self, block: Json) -> Invocation:
        return Invocation(
            call_id=block["id"],
            input=block["input"],
            sandbox=self._sandbox,
            events=self._events,
            seconds=self._seconds_left(),
            interruptible=self._turn.interruptible,
        )

    def _refusal(self, block: Json) -> Result | None:
        """Why a call cannot run, whatever the sandbox holds."""
        tool = self._tools.get(block["name"])
        if tool is None:
            return Result(f"There is no tool {block['name']}, only {', '.join(self._tools)}.", is_error=True)
        if set(block["input"]) == {CUT_OFF}:
            return Result(
                "Not run: your message was cut off at its limit of tokens inside this call. Do it in smaller parts.",
                is_error=True,
            )
        problem = broken_rule(block["input"], tool.schema)
        return Result(f"Not run: {problem}.", is_error=True) if problem else None

    def _redacted(self, events: list[tuple[str, Json]]) -> list[tuple[str, Json]]:
        return [(kind, self._events.redacted(data)) for kind, data in events]


def _told(call: Invocation, step: Callable[[], T]) -> T | Result:
    """What the step gives, or what went wrong, for the model. What ends the attempt goes through."""
    path = call.input.get("path", "this")
    try:
        return step()
    except ToolError as error:
        return Result(str(error), is_error=True)
    except FileNotFoundError:
        return Result(f"There is no file {path}.", is_error=True)
    except (IsADirectoryError, NotADirectoryError):
        return Result(f"{path} is a folder, or goes through a file.", is_error=True)
    except PermissionError:
        return Result(f"{path} is outside of the workspace, or not permitted.", is_error=True)
    except OSError as error:
        return Result(f"{path}: {error.strerror or type(error).__name__}.", is_error=True)
    except (SandboxError, BridgeError, Fail, Release, Retry):
        raise
    except Exception as error:
        logger.exception("A tool failed")
        return Result(f"The tool failed ({type(error).__name__}): try another way.", is_error=True)
