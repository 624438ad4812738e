"""How long suspects wait in this process for what runs here, before another process gets them."""

from collections.abc import Collection, Sequence
from uuid import UUID

from bridge.worker.runs import Run

# Most jobs end within that time. Another process is found within about three seconds more, so waiting longer for a
# job that takes long would only lose time.
_FIRST_SECONDS = 5.0
_REMEMBERED = 1000  # jobs; who comes back does so within seconds, and the memory of a worker process has its bounds


class WaitingTimes:
    """The first time a few seconds; twice as long each time that the same job comes back, as nobody else took it.

    A batch that comes for the first time does not wait for the run that the batch before it waited for in vain.
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
