"""Where pending jobs may still lie, so that a claim need not wade through what it has claimed before.

Claimed jobs leave dead entries in the index that a claim reads. They vanish by themselves, unless some session
keeps a transaction open: then each claim steps over all of them, minutes' worth. While that makes scans slow, most
of them begin behind what was claimed last, and only now and then one scans everywhere. What such a short scan
cannot see, a job that came back with its old place or one whose transaction was long in committing, waits for the
next full one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.job import Claim
from bridge.postgres.queue_rows import HIGHEST_PRIORITY, LOWEST_PRIORITY, Span

_SLOW_SECONDS = 0.005
_CLAIM_SECONDS = 100e-6
_SHARE = 20  # a full scan may take one part in so many of the time
_REST_MOST_SECONDS = 1.0  # what a short scan cannot see waits no longer than this
_LANES_MOST = 50


@dataclass(slots=True)
class _Passed:
    """What lies behind us in one queue: everything up to `place`, and by priority up to the place of its last claim."""

    place: int = -1
    lanes: dict[int, int] = field(default_factory=dict)

    def spans(self, queue: str, available: int) -> list[Span]:
        spans = []
        ceiling = HIGHEST_PRIORITY
        for priority, place in sorted(self.lanes.items(), reverse=True):
            if priority < ceiling:
                spans.append(Span(queue, available, priority + 1, ceiling, self.place))
            spans.append(Span(queue, available, priority, priority, max(place, self.place)))
            ceiling = priority - 1
        if ceiling >= LOWEST_PRIORITY:
            spans.append(Span(queue, available, LOWEST_PRIORITY, ceiling, self.place))
        return spans


class ClaimWindow:
    """For one thread. `spans` before a scan, `scanned` after it."""

    def __init__(self) -> None:
        self._passed: defaultdict[str, _Passed] = defaultdict(_Passed)
        self._next_full_scan = 0.0
        self._slow_scans = 0

    @property
    def is_slow(self) -> bool:
        """Two full scans in a row were slow: one may be so for reasons of its own, such as a server just started."""
        return self._slow_scans > 1

    def full_scan_is_due(self, now: float) -> bool:
        return not self.is_slow or now >= self._next_full_scan

    def spans(self, available: Mapping[str, int], *, full: bool) -> list[Span]:
        """Where to scan: everywhere, or behind what is known to be done with."""
        if full:
            return [Span(queue, jobs) for queue, jobs in available.items()]
        return [span for queue, jobs in available.items() for span in self._passed[queue].spans(queue, jobs)]

    def scanned_all(
        self, claims: Sequence[Claim], available: Mapping[str, int], *, took: float, latest: int | None, now: float
    ) -> None:
        """What a full scan found and how long it took.

        `latest` is a place that was given out before it began, when nothing but the free slots limited it.
        """
        slow = took >= _SLOW_SECONDS + len(claims) * _CLAIM_SECONDS
        self._slow_scans = self._slow_scans + 1 if slow else 0
        self._next_full_scan = now + min(_REST_MOST_SECONDS, _SHARE * took)
        if not self.is_slow:
            self._passed.clear()
            return
        if latest is not None:
            self._note_emptied(claims, available, latest)
        self.scanned(claims)

    def scanned(self, claims: Iterable[Claim]) -> None:
        """What a scan found, behind which nothing is left in its lane."""
        for claim in claims:
            lanes = self._passed[claim.queue].lanes
            lanes[claim.priority] = max(claim.seq, lanes.get(claim.priority, -1))
            if len(lanes) > _LANES_MOST:
                lanes.clear()

    def _note_emptied(self, claims: Iterable[Claim], available: Mapping[str, int], latest: int) -> None:
        found: defaultdict[str, int] = defaultdict(int)
        for claim in claims:
            found[claim.queue] += 1
        for queue, jobs in available.items():
            # None at all may mean that no worker was there to take them.
            if 0 < found[queue] < jobs:
                self._passed[queue] = _Passed(place=latest)
