"""What an agent gets for a turn, and how the turn can end."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from actors.coding.sandbox.base import Sandbox
from bridge.sessions import Call, Message, OverBudget, Usage

__all__ = [
    "AgentRunner", "Asks", "Call", "Ending", "Events", "Finished", "Json", "Message", "OverBudget", "Record", "Turn",
    "Usage",
]  # fmt: skip

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """The agent has nothing more to do. `summary` is its last text.

    `reason`, if it stopped before it was done: `refusal` (the model declined; what it declined is no longer part of the
    conversation), `max_tokens` (its answer was cut off there), `time` (its seconds are over). The user may go on.
    """

    summary: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Asks:
    """The agent waits for an answer of the user. `call_id` is the tool call that the answer is the result of."""

    call_id: str
    question: str
    choices: Sequence[str] = ()


Ending = Finished | Asks | OverBudget


class Record(Protocol):
    """The conversation as it is stored. Each method returns when it is stored, in one transaction with its events.

    Raises NotOursError when the attempt is not the job's current one any more: then nothing is stored.
    """

    def messages(self) -> Sequence[Message]:
        """The conversation so far, in order."""

    def calls(self) -> Mapping[str, Call]:
        """The calls that were started of those in the last message of the assistant, by id."""

    def add_message(self, message: Message, events: Sequence[tuple[str, Json]] = ()) -> None: ...

    def replace_messages(self, messages: Sequence[Message], events: Sequence[tuple[str, Json]] = ()) -> None:
        """The conversation from now on: a compacted one. The earlier messages stay stored for the record."""

    def start_call(
        self, call_id: str, tool: str, call_input: Json, events: Sequence[tuple[str, Json]] = ()
    ) -> None: ...

    def finish_call(self, call_id: str, result: Json, events: Sequence[tuple[str, Json]] = ()) -> None: ...

    def take_prompts(self) -> Sequence[str]:
        """What the user has sent since. It is the caller's to add it to the conversation.

        They count as taken when the next message is stored, in its transaction: none is lost in between.
        """

    def reserve(self, usd: float) -> OverBudget | None:
        """Set the most that the next request can cost aside, before it is made. None: it may be made.

        It may be made while something is left of each budget, so a budget is exceeded by one request at most.
        """

    def spend(self, usage: Usage) -> None:
        """What the request has used; frees the reservation."""


class Events(Protocol):
    """The session's stream, for what is shown while it happens. Redacted, batched; text is stored within 20 ms."""

    def emit(self, event_type: str, data: Json) -> None: ...

    def text(self, event_type: str, piece: str, fields: Json) -> None:
        """A piece of a longer text (`text`, `thinking`, `terminal`): joined to the one before, if of its kind."""

    def redacted(self, data: Json) -> Json:
        """The data as it may be stored: for an event that is stored together with a write of the record."""

    def flush(self) -> None:
        """Return when all is stored. Raises NotOursError when the attempt is not the current one any more."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation: the prompt is its last message already. `seconds` is the time it may take.

    `is_resumed`: an earlier attempt has worked on it, and may have shown text that it did not store.
    `interruptible(end)`: inside the `with`, a cancelled job calls `end()` from another thread, to end a blocked call.
    """

    session_id: UUID
    number: int
    record: Record
    model: str
    seconds: float
    is_cancelled: Callable[[], bool]
    interruptible: Callable[[Callable[[], None]], AbstractContextManager[None]]
    is_resumed: bool = False


class AgentRunner(Protocol):
    name: str

    def run_turn(self, turn: Turn, sandbox: Sandbox, events: Events) -> Ending:
        """Work until the turn ends. An interrupted turn goes on with what its record holds.

        Raises bridge.Fail (no attempt can succeed: a refused key, a malformed request), bridge.Retry (overload, a cut
        stream), SandboxError, NotOursError.
        """
