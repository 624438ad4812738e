"""A turn, step by step. What the next step is follows from the stored conversation alone: so a turn can go on.

The order: the model's message stored, each of its calls started, run and finished, their results stored, next request.
"""

import time
from collections.abc import Mapping, Sequence

from actors.coding.agent.calls import Calls
from actors.coding.agent.conversation import (
    calls_of,
    merged,
    result_block,
    text_block,
    text_of,
    with_results,
    without_declined,
)
from actors.coding.agent.model import CUT_STOPS, Model
from actors.coding.agent.runner import Asks, Ending, Events, Finished, Json, Message, OverBudget, Turn, Usage
from actors.coding.agent.tools.tool import Tool
from actors.coding.sandbox.base import Sandbox
from bridge import Fail, NotOursError


class TurnLoop:
    """Calls run one after the other, in the order in which the model gave them: a later one may need an earlier one."""

    def __init__(self, turn: Turn, sandbox: Sandbox, events: Events, model: Model, tools: Mapping[str, Tool]) -> None:
        self._turn, self._record, self._events, self._model = turn, turn.record, events, model
        self._ends_at = time.monotonic() + turn.seconds
        self._calls = Calls(turn, sandbox, events, tools, self._seconds_left)
        self._messages: list[Message] = []

    def run(self) -> Ending:
        """Raises what the model raises, SandboxError, NotOursError."""
        self._messages = merged(self._record.messages())
        if not self._messages:
            raise Fail("the conversation is empty: a turn needs a prompt")
        repaired = with_results(self._messages, self._record.calls())
        if repaired is not None:
            self._replace(repaired, [])
        if self._turn.is_resumed and self._messages[-1].role == "user":
            self._events.emit("retracted", {"message": len(self._messages)})
        while (ending := self._step()) is None:
            pass
        self._events.flush()
        return ending

    def _step(self) -> Ending | None:
        if self._turn.is_cancelled():
            raise NotOursError("the job was cancelled, or another attempt has replaced this one")
        last = self._messages[-1]
        if last.role == "assistant" and not calls_of(last):
            return self._take_prompts_or_finish(last)
        if self._seconds_left() <= 0:
            return Finished(self._last_text(), reason="time")
        return self._run_calls(calls_of(last)) if last.role == "assistant" else self._ask_model()

    def _ask_model(self) -> Ending | None:
        shorter = self._model.compacted(self._messages)
        if isinstance(shorter, OverBudget):
            return shorter
        if shorter is not None:
            self._replace(shorter, [("compacted", {"messages": len(self._messages)})])
        reply = self._model.reply(self._messages)
        if isinstance(reply, OverBudget):
            return reply
        if reply.stop == "refusal":
            refused = {"message": len(self._messages)}
            self._replace(without_declined(self._messages), [("retracted", refused)])
            return Finished("The model declined to go on with this request.", reason="refusal")
        message = Message("assistant", reply.content)
        self._add(message, [] if reply.usage is None else [("usage", _shown(reply.usage))])
        is_cut = reply.stop in CUT_STOPS and not calls_of(message)
        return Finished(text_of(message), reason="max_tokens") if is_cut else None

    def _run_calls(self, blocks: Sequence[Json]) -> Asks | None:
        known = self._record.calls()
        outcomes = [(block["id"], self._calls.outcome(block, known.get(block["id"]))) for block in blocks]
        for _, outcome in outcomes:
            if isinstance(outcome, Asks):
                return outcome  # the other calls are finished: the next turn finds their results in the record
        results = [result_block(call_id, result) for call_id, result in outcomes if not isinstance(result, Asks)]
        prompts = self._record.take_prompts()
        self._add(Message("user", [*results, *map(text_block, prompts)]), self._sent(prompts))
        return None

    def _take_prompts_or_finish(self, last: Message) -> Finished | None:
        prompts = self._record.take_prompts()
        if not prompts:
            return Finished(text_of(last))
        self._add(Message("user", [text_block(prompt) for prompt in prompts]), self._sent(prompts))
        return None

    def _sent(self, prompts: Sequence[str]) -> list[tuple[str, Json]]:
        return [("prompt", self._events.redacted({"text": prompt})) for prompt in prompts]

    def _add(self, message: Message, events: Sequence[tuple[str, Json]] = ()) -> None:
        self._events.flush()  # its text is stored before it
        self._record.add_message(message, events)
        self._messages.append(message)

    def _replace(self, messages: Sequence[Message], events: Sequence[tuple[str, Json]]) -> None:
        self._events.flush()
        self._record.replace_messages(messages, events)
        self._messages = list(messages)

    def _last_text(self) -> str:
        texts = (text_of(message) for message in reversed(self._messages) if message.role == "assistant")
        return next((text for text in texts if text), "")

    def _seconds_left(self) -> float:
        return self._ends_at - time.monotonic()


def _shown(usage: Usage) -> Json:
    return {
        "model": usage.model,
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "cacheWriteTokens": usage.cache_write_tokens,
        "cacheReadTokens": usage.cache_read_tokens,
        "costUsd": usage.cost_usd,
    }
