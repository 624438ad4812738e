"""How long suspects wait for the jobs that run in this process, before they are given back for another process."""

from collections.abc import Collection, Sequence
from uuid import UUID

from bridge.worker.runs import Run

# Most jobs end within that time. Another process takes the suspects within about three more seconds, so to wait longer
# for a long job would only lose time.
_FIRST_SECONDS = 5.0
_REMEMBERED = 1000  # jobs; one that comes back does so within seconds, and the memory must be limited


class WaitingTimes:
    """A few seconds at first; twice as long each time that the same job comes back: no other process took it.

    A batch that comes for the first time does not wait for a run for which an earlier batch waited in vain.
    """

    def __init__(self) -> None:
        self._given_back: dict[UUID, int] = {}  # how often, by job
        self._waited_in_vain_for: Run | None = None

    def seconds(self, jobs: Sequence[UUID], blocking: Collection[Run]) -> float:
        times = max(self._given_back.get(job_id, 0) for job_id in jobs)
        if not times and self._waited_in_vain_for in blocking:
            return 0.0
        return float(_FIRST_SECONDS * 2**times)

    def given_back(self, jobs: Sequence[UUID], blocking: Collection[Run]) -> None:
        for job_id in jobs:
            self._given_back[job_id] = self._given_back.pop(job_id, 0) + 1
        for job_id in list(self._given_back)[:-_REMEMBERED]:
            del self._given_back[job_id]
        self._waited_in_vain_for = min(blocking, key=lambda run: run.began)

    def began(self, job_id: UUID) -> None:
        self._given_back.pop(job_id, None)
