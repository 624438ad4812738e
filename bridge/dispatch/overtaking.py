"""Claims beyond what there is room for: of jobs that are more urgent than what is handed over and waits."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bridge.dispatch.capacity import Crowd
from bridge.job import Claim
from bridge.postgres.queue_rows import LOWEST_PRIORITY

_LOOK_SECONDS = 0.02  # between two looks that nobody asked for: a notification may be lost, or tell of many jobs


class Room(NamedTuple):
    """For so many `jobs` of a queue, of priorities from `floor` up."""

    jobs: int
    floor: int = LOWEST_PRIORITY


class Overtaking:
    """For the dispatcher's thread. `unstarted` says which of some claims wait for their start."""

    def __init__(self, unstarted: Callable[[Sequence[Claim]], set[Claim]]) -> None:
        self._unstarted = unstarted
        self._urgent: dict[str, list[Claim]] = {}  # of a queue without room: claimed all the same
        self._crowds: Mapping[str, Crowd] = {}
        self._next_look = 0.0
        self._hint: int | None = None

    @property
    def is_hinted(self) -> bool:
        return self._hint is not None

    def hint(self, priority: int) -> None:
        """A job of this priority may be there, more urgent than the last ones. For any thread."""
        self._hint = priority

    def rooms(
        self, available: Mapping[str, int], floors: Mapping[str, int], crowds: Mapping[str, Crowd], now: float
    ) -> dict[str, Room]:
        """Queue → what may be claimed.

        After a hint, that is urgent jobs alone: a claim of one is quicker than one of many. In queues of `floors` and
        `crowds` too, where it is looked for them now and then; in one with a crowd so many may wait as it has slots.
        """
        hint, self._hint = self._hint, None
        urgent = LOWEST_PRIORITY if hint is None else hint
        rooms = {queue: Room(jobs, urgent) for queue, jobs in available.items() if queue not in floors}
        if hint is None and now < self._next_look:
            return rooms
        self._next_look = now + _LOOK_SECONDS
        self._crowds = crowds
        rooms |= {queue: Room(jobs, max(urgent, floors[queue])) for queue, jobs in available.items() if queue in floors}
        for queue, crowd in crowds.items():
            if (jobs := crowd.slots - self._waiting(queue)) > 0:
                rooms[queue] = Room(jobs, max(crowd.lowest + 1, floors.get(queue, LOWEST_PRIORITY)))
        return rooms

    def _waiting(self, queue: str) -> int:
        if urgent := self._urgent.pop(queue, []):
            self._urgent[queue] = list(self._unstarted(urgent))
        return len(self._urgent.get(queue, []))

    def claimed(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            if claim.queue in self._crowds:
                self._urgent.setdefault(claim.queue, []).append(claim)
