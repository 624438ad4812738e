"""What a tool is, what it gets for a call and what it gives back."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

from actors.coding.agent.runner import Asks, Events, Json
from actors.coding.sandbox.base import Sandbox


class ToolError(Exception):
    """The call cannot be done. The text is for the model: what is wrong, and what it could do instead."""


@dataclass(frozen=True, slots=True)
class Result:
    """What the model is told. `events` are stored together with it."""

    content: str
    is_error: bool = False
    events: Sequence[tuple[str, Json]] = ()


UNKNOWN = Result(
    "Interrupted, outcome unknown: this call was started, then the worker was lost. Check first.", is_error=True
)


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call of a tool. `input` fits the tool's schema; `seconds` are left of the turn.

    Inside `with interruptible(end)`, a cancelled job calls `end()` from another thread, to end a blocked call.
    """

    call_id: str
    input: Json
    sandbox: Sandbox
    events: Events
    seconds: float
    interruptible: Callable[[Callable[[], None]], AbstractContextManager[None]]


class Tool:
    """Each tool is a subclass. `schema` is the JSON schema of its input, an object.

    Its methods raise ToolError for what the model should know, OSError for files, SandboxError for a lost sandbox.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    schema: ClassVar[Json]

    def prepare(self, call: Invocation) -> Json:
        """The input as it is stored before the call runs, with what `resume` will need. Changes nothing."""
        return call.input

    def run(self, call: Invocation) -> Result | Asks:
        raise NotImplementedError

    def resume(self, call: Invocation) -> Result | Asks:  # noqa: ARG002 -- for those that find out
        """The call was started by an attempt that was interrupted. `input` is what `prepare` gave.

        A tool that changes nothing runs again. One that may have changed something finds out whether it did, or says
        that it does not know.
        """
        return UNKNOWN
