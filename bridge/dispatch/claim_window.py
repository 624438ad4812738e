"""Which part of the index a claim scans, so that it does not read what was claimed before again and again.

Claimed jobs leave dead entries in the index that a claim reads. Postgres removes them by itself, unless some session
keeps a transaction open: then each claim steps over all that were claimed since that transaction began. While this
makes scans slow, most scans begin behind the last claims, and only some scan everything. A short scan misses a job that
came back with its old `seq`, and one whose transaction committed late: these wait for the next full scan.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.job import Claim
from bridge.postgres.queue_rows import HIGHEST_PRIORITY, LOWEST_PRIORITY, Span

# A scan is slow above this: a fixed part, and a part for each job that it claims. A claim on a clean index stays well
# below both.
_SLOW_SECONDS, _CLAIM_SECONDS = 0.005, 100e-6
_SHARE = 20  # full scans may take one part in so many of the time
_REST_MOST_SECONDS = 1.0  # a job that short scans miss waits no longer than this
_PRIORITIES_MOST = 50  # each adds up to two spans to a scan; with many more, short scans would cost what they save


@dataclass(slots=True)
class _Passed:
    """What is claimed in one queue: everything up to `seq`, and by priority up to its last claim."""

    seq: int = -1
    by_priority: dict[int, int] = field(default_factory=dict)

    def spans(self, queue: str, available: int) -> list[Span]:
        spans = []
        ceiling = HIGHEST_PRIORITY
        for priority, seq in sorted(self.by_priority.items(), reverse=True):
            if priority < ceiling:
                spans.append(Span(queue, available, priority + 1, ceiling, self.seq))
            spans.append(Span(queue, available, priority, priority, max(seq, self.seq)))
            ceiling = priority - 1
        if ceiling >= LOWEST_PRIORITY:
            spans.append(Span(queue, available, LOWEST_PRIORITY, ceiling, self.seq))
        return spans


class ClaimWindow:
    """For one thread. Call `spans` before each scan, and `scanned_all` or `scanned` after it."""

    def __init__(self) -> None:
        self._passed: defaultdict[str, _Passed] = defaultdict(_Passed)
        self._next_full_scan = 0.0
        self._slow_scans = 0

    @property
    def is_slow(self) -> bool:
        """Two full scans in a row were slow. One may be so for another reason, such as a server that just started."""
        return self._slow_scans > 1

    def full_scan_is_due(self, now: float) -> bool:
        return not self.is_slow or now >= self._next_full_scan

    def spans(self, available: Mapping[str, int], *, full: bool) -> list[Span]:
        """What to scan: all of these queues, or only what is not known to be claimed."""
        if full:
            return [Span(queue, jobs) for queue, jobs in available.items()]
        return [span for queue, jobs in available.items() for span in self._passed[queue].spans(queue, jobs)]

    def scanned_all(
        self, claims: Sequence[Claim], available: Mapping[str, int], *, took: float, latest: int | None, now: float
    ) -> None:
        """Note what a full scan claimed, and that it took `took` seconds.

        `latest` is the highest `seq` assigned before the scan began; None when the limit of the claim, and not only
        the free slots, may have cut it short.
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
        """Note what a scan claimed: in the priority of each claim nothing up to its `seq` is left."""
        for claim in claims:
            by_priority = self._passed[claim.queue].by_priority
            by_priority[claim.priority] = max(claim.seq, by_priority.get(claim.priority, -1))
            if len(by_priority) > _PRIORITIES_MOST:
                by_priority.clear()

    def _note_emptied(self, claims: Iterable[Claim], available: Mapping[str, int], latest: int) -> None:
        found: defaultdict[str, int] = defaultdict(int)
        for claim in claims:
            found[claim.queue] += 1
        for queue, jobs in available.items():
            # No claim at all may mean that no live worker knows the actors of the jobs that wait.
            if 0 < found[queue] < jobs:
                self._passed[queue] = _Passed(seq=latest)
