"""The record of a session's turn, for the actor that runs it."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from bridge.broker import connected_settings
from bridge.errors import Fail, Release
from bridge.job import Job
from bridge.postgres.bundles import PostgresBundles
from bridge.postgres.call_thread import CallThread
from bridge.postgres.turns import Begun, Budgets, Call, Events, Json, Message, OverBudget, TurnKey, Turns, Usage
from bridge.runtime.kill_points import kill_point

T = TypeVar("T")

LIFETIME = timedelta(minutes=30)  # as of a session that was just started: how long it waits for its user
_BUSY_SECONDS = 2.0  # a turn takes minutes, and the database lets a job that comes back often wait longer

_threads: dict[tuple[int, str], CallThread] = {}  # by process id: a fork must not use the connection of its parent


class Record:
    """The conversation of a session as one attempt of a job reads and writes it. It can be used by one thread.

    Each method returns when all is stored, in one transaction with its events. It raises NotOursError when this attempt
    is not the job's current one any more: then nothing is stored. While Postgres is away it waits, for 30 s, then it
    raises StoreUnavailableError. `number` is that of the turn, from 1.
    """

    def __init__(self, thread: CallThread, key: TurnKey, begun: Begun, budgets: Budgets) -> None:
        self._thread = thread
        self._key = key
        self._session_id = begun.session_id
        self._budgets = budgets
        self._position = begun.position
        self._shown: set[int] = set()  # numbers of the prompts that were given to the caller
        self._in_hand: set[int] = set()  # those of them that are not in a message yet
        self._request: UUID | None = None
        self.bundles = PostgresBundles(lambda name, params: thread.call(lambda link: link.call(name, params)), key)
        """Where the snapshots of the session's workspace are kept."""
        self.number = begun.turn
        self.has_ended = begun.state == "ended"
        """An earlier attempt has ended this turn, and only its report was lost: return, there is nothing to do."""
        self.has_begun = begun.messages > 0
        """An earlier attempt, or this one, has added messages in this turn: the prompt is among them."""

    def messages(self) -> Sequence[Message]:
        """The conversation so far, in order; from a replacement on, if there was one."""
        return self._call(lambda turns: turns.messages(self._session_id))

    def calls(self) -> Mapping[str, Call]:
        """The calls that were started of those in the last message of the assistant, by id."""
        return self._call(lambda turns: turns.calls(self._session_id))

    def add_message(self, message: Message, events: Events = ()) -> None:
        """Prompts that were taken and are not in a message yet count as being in this one, if it is the user's."""
        self._add([message], events, begins=False)

    def replace_messages(self, messages: Sequence[Message], events: Events = ()) -> None:
        """The conversation from now on: a compacted one. The earlier messages stay stored for the record."""
        self._add(messages, events, begins=True)

    def _add(self, messages: Sequence[Message], events: Events, *, begins: bool) -> None:
        prompts = sorted(self._in_hand) if any(message.role == "user" for message in messages) else []
        position = self._position
        self._call(
            lambda turns: turns.add_messages(
                self._key, messages, events, position=position, begins=begins, prompts=prompts
            )
        )
        kill_point("message.stored")
        self._position += len(messages)
        self._in_hand.difference_update(prompts)
        self.has_begun = True

    def start_call(self, call_id: str, tool: str, call_input: Json, events: Events = ()) -> None:
        """Store that a tool call starts, before it does. One that was started before keeps its place."""
        self._call(lambda turns: turns.start_call(self._key, call_id, tool, call_input, events))
        kill_point("call.started")

    def finish_call(self, call_id: str, result: Json, events: Events = ()) -> None:
        """Store the result of a call that was started. One that has a result keeps it, and the events are dropped."""
        kill_point("call.ran")
        self._call(lambda turns: turns.finish_call(self._key, call_id, result, events))
        kill_point("call.finished")

    def take_prompts(self) -> Sequence[str]:
        """What the user has sent since, each once. The next message of the user that is added must hold it.

        Until then it counts as not taken: if this attempt ends before, the next one gets it.
        """
        waiting = self._call(lambda turns: turns.waiting_prompts(self._session_id))
        new = [(number, prompt) for number, prompt in waiting if number not in self._shown]
        self._shown.update(number for number, _ in new)
        self._in_hand.update(number for number, _ in new)
        return [prompt for _, prompt in new]

    def reserve(self, usd: float) -> OverBudget | None:
        """Set the most that the next request can cost aside, before it is made. None: it may be made.

        It may be made while something is left of each budget, so a budget is exceeded by one request at most.
        """
        request = uuid4()
        over = self._call(lambda turns: turns.reserve(self._key, request, usd, self._budgets))
        self._request = request if over is None else None
        return over

    def spend(self, usage: Usage) -> None:
        """What the request has used; frees the reservation."""
        request, self._request = self._request or uuid4(), None
        self._call(lambda turns: turns.spend(self._key, request, usage))

    def set_progress(self, fraction: float, events: Events = ()) -> None:
        """How much of its work the turn has done, from 0 to 1."""
        self._call(lambda turns: turns.set_progress(self._key, fraction, events))

    def finish(self, events: Events = ()) -> None:
        """End the turn. What the user has sent meanwhile and was not taken becomes the prompt of the next job."""
        self._call(lambda turns: turns.end(self._key, "finished", None, LIFETIME, events))
        kill_point("turn.ended")

    def ask(self, call_id: str, question: str, choices: Sequence[str] = (), events: Events = ()) -> None:
        """End the turn with a question: the session is paused. The answer is the result of the tool call `call_id`.

        It comes as a job of its own, with `{"answer": {"callId": …, "text": …}}` in its payload.
        """
        asked = {"callId": call_id, "question": question, "choices": list(choices)}
        self._call(lambda turns: turns.end(self._key, "asked", asked, LIFETIME, events))

    def ask_to_go_on(self, over: OverBudget, events: Events = ()) -> None:
        """End the turn with the question whether to go on: the session is paused.

        The user's yes comes as a job of its own, with `{"continue": true}` in its payload, and what the user said to
        it as its prompt.
        """
        asked = {"scope": over.scope, "spentUsd": over.spent_usd, "limitUsd": over.limit_usd}
        self._call(lambda turns: turns.end(self._key, "asked", asked, LIFETIME, events))

    def _call(self, make: Callable[[Turns], T]) -> T:
        return self._thread.call(lambda link: make(Turns(link)))


def open_record(job: Job) -> Record:
    """Begin the turn that `job` is, or go on with it.

    Raises NotOursError when this attempt is not the job's current one any more; Release while another job of the
    session has not ended its turn; Fail when the session has expired; StoreUnavailableError after 30 s without
    Postgres.
    """
    if job.session_id is None:
        raise Fail("a turn needs a session, and this job has none")
    settings = connected_settings()
    thread = thread_to(settings.postgres_dsn())
    key = TurnKey(job.id, job.fence)
    begun = thread.call(lambda link: Turns(link).begin(key, LIFETIME))
    if begun.state == "expired":
        raise Fail("the session has expired or was deleted: start a new one")
    if begun.state == "busy":
        raise Release("another job of the session has not ended its turn", delay=_BUSY_SECONDS)
    budgets = Budgets(settings.turn_budget_usd, settings.session_budget_usd, settings.user_daily_budget_usd)
    return Record(thread, key, begun, budgets)


def thread_to(dsn: str) -> CallThread:
    """This process's thread for turns, with its connection: started for the first turn."""
    place = os.getpid(), dsn
    if place not in _threads:
        _threads.setdefault(place, CallThread(dsn, "turns"))  # of two at once one is never used, and opens no link
    return _threads[place]
