"""Which of the claims of one queue are published next: by priority, each when what is more urgent was started."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

from bridge.dispatch.hand_over_times import ClaimTimes
from bridge.job import Claim
from bridge.postgres.queue_rows import LOWEST_PRIORITY

# What was not started by then found no free thread: its place in Redis and in the worker's queue protects it. No more
# than what is handed over ahead (throughput.py), so that workers do not run dry.
_PATIENCE_SECONDS = 0.2
_LEVELS_SECONDS = 0.05  # for the priorities of one claim after the first: there may be as many as there are jobs
_MOST_SECONDS = _PATIENCE_SECONDS + _LEVELS_SECONDS  # nothing is kept for longer, whatever came meanwhile
_by_priority = attrgetter("priority")


@dataclass(slots=True)
class _Group:
    """Published claims of one priority, which what is less urgent waits for, until some moment."""

    claims: list[Claim]
    until: float


class PublishOrder:
    """Of one queue: what was published lately, and what is kept, the most urgent first.

    Jobs overtake when they are more urgent than the least urgent that was published lately. Others wait for these
    alone: of a backlog in order of priority, each claim is less urgent than the one before it.
    """

    def __init__(self) -> None:
        self.kept: list[Claim] = []
        self.claim_times = ClaimTimes()  # of what is kept: for who measures the hand-over
        self.lowest = LOWEST_PRIORITY  # that was published lately
        self.overtakers = 0  # in what `take` gave last
        self._lowest_at = float("-inf")
        self._overtaken = LOWEST_PRIORITY  # the lowest priority when the first of what is kept came
        self._published: list[_Group] = []
        self._is_first = True  # nothing of what is kept was published
        self._levels_end = self._end = 0.0  # when all that is kept is published

    def keep(self, claims: Sequence[Claim], now: float) -> None:
        """Add claims, the most urgent first."""
        if not self.kept:
            self._end, self._overtaken = now + _MOST_SECONDS, self.lowest
        if not self.kept or claims[0].priority > self.kept[0].priority:
            self._is_first, self._levels_end = True, now + _LEVELS_SECONDS
        self.kept = sorted([*self.kept, *claims], key=_by_priority, reverse=True)

    def waits_for(self, now: float) -> list[Claim]:
        """What must be started, as far as it was not, before anything that is kept is published."""
        self._published = [group for group in self._published if now < group.until]
        if now >= self._end:
            return []
        return list(chain.from_iterable(group.claims for group in self._more_urgent()))

    def unstarted(self, claims: set[Claim]) -> None:
        """Of what `waits_for` named, these are not started yet."""
        for group in self._more_urgent():
            group.claims = [claim for claim in group.claims if claim in claims]
        self._published = [group for group in self._published if group.claims]

    def _more_urgent(self) -> list[_Group]:
        return [group for group in self._published if group.claims[0].priority > self.kept[0].priority]

    def take(self, now: float) -> list[Claim]:
        """What is published now: of overtaking jobs the most urgent; all, when there are none or they took long."""
        end, highest = min(self._levels_end, self._end), self.kept[0].priority
        overtakers = [claim for claim in self.kept if claim.priority == highest] if highest > self._overtaken else []
        claims = overtakers if overtakers and now < end else self.kept
        self.kept = self.kept[len(claims) :]
        if overtakers:
            self._published.append(_Group(list(overtakers), now + _PATIENCE_SECONDS if self._is_first else end))
        self.overtakers, self._is_first = len(overtakers), False
        self._note_lowest(claims[-1].priority, now)
        return claims

    def _note_lowest(self, priority: int, now: float) -> None:
        if priority <= self.lowest or now - self._lowest_at > _MOST_SECONDS:
            self.lowest, self._lowest_at = priority, now
