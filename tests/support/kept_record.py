"""A conversation in memory, with the promises of `Record`: for tests of the loop alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from actors.coding.agent.runner import Call, Json, Message, OverBudget, Usage
from tests.support.kept_events import KeptEvents
from tests.support.kills import Kills

Rows = Sequence[tuple[str, Json]]


class KeptRecord:
    """It outlives the attempts of a turn. `kills` may be replaced for each; `limit_usd` is what a turn may spend."""

    def __init__(self, *prompts: str, events: KeptEvents | None = None, limit_usd: float | None = None) -> None:
        self.stored = [Message("user", [{"type": "text", "text": prompt}]) for prompt in prompts]
        self.replaced: list[Sequence[Message]] = []
        self.known: dict[str, Call] = {}
        self.finished: list[str] = []
        self.inbox: list[str] = []
        self.spent: list[Usage] = []
        self.reserved: list[float] = []
        self.kills = Kills()
        self.events = events or KeptEvents()
        self.limit_usd = limit_usd
        self._offered = 0

    def messages(self) -> Sequence[Message]:
        return [*self.stored]

    def calls(self) -> Mapping[str, Call]:
        last = next((message for message in reversed(self.stored) if message.role == "assistant"), None)
        ids = {block.get("id") for block in last.content} if last else set()
        return {call_id: call for call_id, call in self.known.items() if call_id in ids}

    def add_message(self, message: Message, events: Rows = ()) -> None:
        self.kills.point(f"before {message.role}'s message")
        self.stored.append(_as_json(message))
        del self.inbox[: self._offered]
        self._offered = 0
        self.events.all += events
        self.kills.point(f"after {message.role}'s message")

    def replace_messages(self, messages: Sequence[Message], events: Rows = ()) -> None:
        self.kills.point("before replacing")
        self.replaced.append([*self.stored])
        self.stored[:] = map(_as_json, messages)
        self.events.all += events
        self.kills.point("after replacing")

    def start_call(self, call_id: str, tool: str, call_input: Json, events: Rows = ()) -> None:
        self.kills.point("before start")
        assert call_id not in self.known, "a call starts once"
        self.known[call_id] = Call(call_id, tool, json.loads(json.dumps(call_input)), is_finished=False)
        self.events.all += events
        self.kills.point("after start")

    def finish_call(self, call_id: str, result: Json, events: Rows = ()) -> None:
        self.kills.point("before finish")
        assert not self.known[call_id].is_finished, "a call finishes once"
        self.known[call_id] = replace(self.known[call_id], is_finished=True, result=json.loads(json.dumps(result)))
        self.finished.append(call_id)
        self.events.all += events
        self.kills.point("after finish")

    def answer(self, call_id: str, text: str) -> None:
        """What the user answers to a question."""
        self.finish_call(call_id, {"content": text, "is_error": False})

    def take_prompts(self) -> Sequence[str]:
        self._offered = len(self.inbox)
        return [*self.inbox]

    def reserve(self, usd: float) -> OverBudget | None:
        self.reserved.append(usd)
        spent = sum(usage.cost_usd for usage in self.spent)
        if self.limit_usd is not None and spent + usd > self.limit_usd:
            return OverBudget("turn", spent, self.limit_usd)
        return None

    def spend(self, usage: Usage) -> None:
        self.kills.point("before spending")
        self.spent.append(usage)
        self.kills.point("after spending")


def _as_json(message: Message) -> Message:
    """As it comes back from a store."""
    return Message(message.role, json.loads(json.dumps([*message.content])))
