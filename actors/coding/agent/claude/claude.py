"""Claude as the `Model` of a turn: answers the conversation, and sums up one that has become too long."""

from collections.abc import Callable, Sequence
from typing import Any

from actors.coding.agent.claude.asking import Asking
from actors.coding.agent.claude.problems import Problem
from actors.coding.agent.claude.spending import Spending
from actors.coding.agent.conversation import text_block, text_of, without_thinking
from actors.coding.agent.model import Reply
from actors.coding.agent.runner import Events, Json, Message, OverBudget
from bridge import Fail

COMPACT_TOKENS = 150_000  # models take 200,000 and more, but each request pays for all of them
_SUMMARIZE = (
    "The conversation is becoming too long. Write a summary from which you can go on without it: what the user asked "
    "for, word for word, what was decided and why, which files matter and what was changed in them, what was seen, "
    "what is left to do. Call no tool."
)
_SUMMARY = "This conversation was longer. What came before, in short:\n\n"
_NO_SUMMARY = "[It could not be summed up: look at the workspace, and ask the user if need be.]"


class Claude:
    """`body(messages)` makes the body of the request that asks for what follows them."""

    def __init__(
        self,
        body: Callable[[Sequence[Message]], dict[str, Any]],
        asking: Asking,
        spending: Spending,
        events: Events,
        *,
        compact_tokens: int,
    ) -> None:
        self._body, self._asking, self._spending, self._events = body, asking, spending, events
        self._compact_tokens = compact_tokens
        self._foreign = 0  # so many messages at the beginning have thinking that the model refuses

    def reply(self, messages: Sequence[Message]) -> Reply | OverBudget:
        try:
            return self._ask(messages, self._events)
        except Problem as problem:
            if not problem.is_about_thinking:
                raise Fail(problem.text) from None
        self._foreign = len(messages)  # after a change of AGENT_MODEL: thinking is bound to the model that it is of
        return self._reply_without_thinking(messages)

    def compacted(self, messages: Sequence[Message]) -> Sequence[Message] | OverBudget | None:
        if self._spending.likely_tokens(self._body(messages)) < self._compact_tokens:
            return None
        try:
            reply = self._ask([*messages[:-1], _asked_to_sum_up(messages[-1])], _Unseen())
        except Problem as problem:
            if not problem.is_too_long:
                raise Fail(problem.text) from None
            reply = Reply([text_block(_NO_SUMMARY)], "end_turn")
        if isinstance(reply, OverBudget):
            return reply
        summary = text_of(Message("assistant", reply.content)) or _NO_SUMMARY
        prompts = [block for block in messages[-1].content if block["type"] == "text"]
        return [Message("user", [text_block(_SUMMARY + summary), *prompts])]

    def _reply_without_thinking(self, messages: Sequence[Message]) -> Reply | OverBudget:
        try:
            return self._ask(messages, self._events)
        except Problem as problem:
            raise Fail(problem.text) from None

    def _ask(self, messages: Sequence[Message], events: Events) -> Reply | OverBudget:
        return self._asking.ask(self._body(self._fitting(messages)), events, len(messages))

    def _fitting(self, messages: Sequence[Message]) -> list[Message]:
        return [*without_thinking(messages[: self._foreign]), *messages[self._foreign :]]


def _asked_to_sum_up(last: Message) -> Message:
    return Message("user", [*last.content, text_block(_SUMMARIZE)])


class _Unseen:
    """Events that nobody sees: the text of a summary is for the model."""

    def emit(self, event_type: str, data: Json) -> None: ...

    def text(self, event_type: str, piece: str, fields: Json) -> None: ...

    def flush(self) -> None: ...

    def redacted(self, data: Json) -> Json:
        return data
