"""One request until it is answered: money set aside, sent, shown, tried again when that may help."""

import random
import threading
from collections.abc import Mapping
from typing import Any

from actors.coding.agent.claude.answer import Answer
from actors.coding.agent.claude.link import Link
from actors.coding.agent.claude.problems import Problem
from actors.coding.agent.claude.spending import Spending
from actors.coding.agent.model import Reply
from actors.coding.agent.runner import Events, OverBudget, Turn
from bridge import NotOursError, Retry

TRIES = 4  # before the attempt ends and the job waits for its next one: the slot is for others meanwhile
FIRST_WAIT_SECONDS = 1.0  # doubled with each try: an overload of seconds passes within the turn
_LONGEST_WAIT_SECONDS = 30.0  # between two tries, for the slot, as above


class Asking:
    def __init__(self, turn: Turn, link: Link, spending: Spending, *, first_wait_seconds: float) -> None:
        self._turn, self._link, self._spending = turn, link, spending
        self._first_wait_seconds = first_wait_seconds

    def ask(self, body: Mapping[str, Any], events: Events, number: int) -> Reply | OverBudget:
        """`number`: the place of the answer in the conversation.

        Raises Problem (no other try can help), bridge.Retry (it may help later), NotOursError (cancelled meanwhile).
        """
        for tried in range(1, TRIES + 1):
            over = self._spending.reserve(body)
            if over is not None:
                return over
            answer = Answer(events, number)
            try:
                return self._try(body, answer)
            except Problem as problem:
                if answer.was_shown:
                    events.emit("retracted", {"message": number})
                self._wait_or_give_up(problem, tried)
        raise AssertionError("the last try ends it")

    def _try(self, body: Mapping[str, Any], answer: Answer) -> Reply:
        problem = Problem("the model's API ended its answer in the middle", may_pass=True)
        try:
            with self._turn.interruptible(self._link.shut):
                for event in self._link.events(body):
                    answer.take(event)
        except Problem as found:
            problem = found
        usage = self._spending.spend(answer.usage(self._turn.model))  # an answer that broke off costs, too
        if not answer.is_complete:
            raise problem
        self._spending.measure(body, usage)
        return answer.reply(usage)

    def _wait_or_give_up(self, problem: Problem, tried: int) -> None:
        if self._turn.is_cancelled():
            raise NotOursError("the job was cancelled while the model was answering") from None
        if not problem.may_pass:
            raise problem
        growing = self._first_wait_seconds * 2 ** (tried - 1) * random.uniform(0.8, 1.2)  # noqa: S311 -- workers apart
        wait = growing if problem.retry_after is None else problem.retry_after
        if tried == TRIES or wait > _LONGEST_WAIT_SECONDS:
            raise Retry(f"{problem.text}; tried {tried} times", delay=problem.retry_after) from None
        over = threading.Event()
        with self._turn.interruptible(over.set):  # neither an exception nor a cancel wakes one that sleeps
            over.wait(wait)
