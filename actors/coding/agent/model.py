"""What the loop of a turn asks: a model that answers a conversation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from actors.coding.agent.runner import Json, Message, OverBudget, Usage

CUT_OFF = "cut_off"
"""The input of a call that was not received whole has this field alone, with the beginning of it."""

CUT_STOPS = ("max_tokens", "model_context_window_exceeded")
"""The values of stop_reason that say that a message ends in the middle."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The model's message: never empty. `stop` is the API's stop_reason. `usage` None: it cost nothing."""

    content: Sequence[Json]
    stop: str
    usage: Usage | None = None


class Model(Protocol):
    def reply(self, messages: Sequence[Message]) -> Reply | OverBudget:
        """The next message. What it says is shown while it comes, in events with `message`: its number.

        Raises bridge.Fail, bridge.Retry, NotOursError.
        """

    def compacted(self, messages: Sequence[Message]) -> Sequence[Message] | OverBudget | None:
        """The conversation to go on with, if this one is becoming too long. None: it is not."""
