"""The calls of an attempt about the turn that it runs, over one link. Each is fenced, and harmless when repeated."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from bridge.errors import NotOursError, PayloadError
from bridge.postgres.json_text import storable_text, to_json
from bridge.postgres.link import Link

Json = Mapping[str, Any]
Events = Sequence[tuple[str, Json]]
"""Type and data of each: stored in the transaction of the call that they go with."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the conversation as the model's API takes it. `content`: its list of content blocks."""

    role: str
    content: Sequence[Json]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. `is_finished` False: it was started, and whether it took effect is not known.

    `result`: `content` (text, or a list of content blocks) and `is_error`, as in the API's tool_result. The answer to
    a question is the content of its call's result.
    """

    call_id: str
    tool: str
    input: Json
    is_finished: bool
    result: Json | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    model: str
    input_tokens: int
    output_tokens: int
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class OverBudget:
    """Nothing is left of the budget of `scope` (`turn`, `session` or `user`): go on?"""

    scope: str
    spent_usd: float
    limit_usd: float


class Budgets(NamedTuple):
    """In US dollars; None: without a limit."""

    turn: float | None
    session: float | None
    day: float | None


class TurnKey(NamedTuple):
    """The attempt that writes."""

    job_id: UUID
    fence: int


@dataclass(frozen=True, slots=True)
class Begun:
    """What `begin` found: see begin_turn (sql/functions/turns.sql). `position` is that of the next message."""

    session_id: UUID
    turn: int
    state: str
    messages: int
    position: int


class Turns:
    """Raises NotOursError for an attempt that is not its job's current one, or whose turn is over."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def begin(self, key: TurnKey, lifetime: timedelta) -> Begun:
        rows = self._link.call("begin_turn", {**key._asdict(), "lifetime": lifetime})
        if not rows:
            raise _not_ours()
        return Begun(**rows[0])

    def end(self, key: TurnKey, state: str, question: Json | None, lifetime: timedelta, events: Events) -> None:
        asked = None if question is None else to_json(question, "question")
        self._write("end_turn", key, events, state=state, question=asked, lifetime=lifetime)

    def set_progress(self, key: TurnKey, progress: float, events: Events) -> None:
        self._write("set_turn_progress", key, events, progress=progress)

    def messages(self, session_id: UUID) -> list[Message]:
        return [Message(**row) for row in self._link.call("conversation", {"session": session_id})]

    def calls(self, session_id: UUID) -> dict[str, Call]:
        rows = self._link.call("calls_of_last_message", {"session": session_id})
        return {row["call_id"]: Call(**row) for row in rows}

    def waiting_prompts(self, session_id: UUID) -> list[tuple[int, str]]:
        """Number and text of what the user has sent and no turn has taken, in order."""
        return [(row["number"], row["prompt"]) for row in self._link.call("waiting_prompts", {"session": session_id})]

    def add_messages(
        self,
        key: TurnKey,
        messages: Sequence[Message],
        events: Events,
        *,
        position: int,
        begins: bool,
        prompts: Sequence[int],
    ) -> None:
        self._write(
            "add_messages",
            key,
            events,
            position=position,
            begins=begins,
            roles=[message.role for message in messages],
            contents=[_exact(message.content, "message") for message in messages],
            prompts=list(prompts),
        )

    def start_call(self, key: TurnKey, call_id: str, tool: str, call_input: Json, events: Events) -> None:
        self._write("start_call", key, events, call=call_id, tool=tool, input=_exact(call_input, "tool call"))

    def finish_call(self, key: TurnKey, call_id: str, result: Json, events: Events) -> None:
        self._write("finish_call", key, events, call=call_id, result=_exact(result, "result of a tool call"))

    def reserve(self, key: TurnKey, request: UUID, usd: float, budgets: Budgets) -> OverBudget | None:
        params = {**key._asdict(), "request": request, "usd": usd, **{f"{name}_usd": most for name, most in
                                                                     budgets._asdict().items()}}  # fmt: skip
        rows = self._link.call("reserve_usage", params)
        if not rows:
            raise _not_ours()
        (row,) = rows
        if row["scope"] is None:
            return None
        return OverBudget(row["scope"], float(row["spent_usd"]), float(row["limit_usd"]))

    def spend(self, key: TurnKey, request: UUID, usage: Usage) -> None:
        params = {
            "request": request,
            "model": storable_text(usage.model),
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "cache_read_tokens": usage.cache_read_tokens,
            "cost_usd": usage.cost_usd,
        }
        self._check(self._link.call("spend_usage", {**key._asdict(), **params}))

    def _write(self, name: str, key: TurnKey, events: Events, **params: Any) -> None:
        written = {
            "types": [storable_text(event_type) for event_type, _ in events],
            "data": [to_json(data, f"{event_type!r} event") for event_type, data in events],
        }
        self._check(self._link.call(name, {**key._asdict(), **params, **written}))

    @staticmethod
    def _check(rows: Sequence[Json]) -> None:
        if not rows[0]["held"]:
            raise _not_ours()


def _not_ours() -> NotOursError:
    return NotOursError("this attempt is not the job's current one any more, or its turn is over: nothing is stored")


def _exact(value: Any, what: str) -> str:
    """JSON text that keeps each character, also those that `to_json` replaces: the columns are json, which keeps it."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"the {what} cannot be stored as JSON: {error}") from error
