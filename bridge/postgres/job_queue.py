"""Access to the job table: one method per statement, rows as objects.

`JobQueue` serves the bridge and any Python client. How applications insert jobs is in `enqueue.py`, the calls of
workers about their attempts in `attempts.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from bridge.job import Claim, Outcome, Status
from bridge.postgres.array_text import array, quoted
from bridge.postgres.json_text import storable_text
from bridge.postgres.link import Link
from bridge.postgres.listener import Listener
from bridge.postgres.queue_rows import (
    BulkBatch,
    ClaimedJob,
    HandOvers,
    Indexed,
    Pruned,
    QueueCapacity,
    QueueStats,
    Reclaimed,
    Refusal,
    Span,
    StuckJobs,
    VacuumHolder,
    WatchedWorkers,
)

CHANNEL, BULK_CHANNEL = "new_job", "mobvibe_bulk"
# What a notice of our functions says when they cannot change a row: see refused_rows.py.
_CLAIM = "cannot be handed over now"
_RECLAIM = "cannot be taken back now"
_ROUTE = "cannot be moved to another queue now"


class JobQueue:
    """The queue over one connection, for one thread. Methods raise PostgresUnavailableError when it is lost."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @classmethod
    def connect(cls, dsn: str, name: str = "client") -> "JobQueue":
        """A queue on a connection of its own, opened with the first call."""
        return cls(Link(dsn, name))

    def close(self) -> None:
        self._link.close()

    # The Node worker's methods, in Python spelling.

    def claim_next_job(self) -> ClaimedJob | None:
        """Claim the most urgent due job; report its end with `complete_job` or `fail_job`. None when there is none."""
        rows = self._link.call("claim_next_job")
        return ClaimedJob(**rows[0]) if rows else None

    def complete_job(self, job_id: UUID) -> None:
        self._link.call("complete_job", {"id": job_id})

    def fail_job(self, job_id: UUID, error_message: str) -> bool:
        """Fail a job that was claimed with `claim_next_job`; True when it will be retried."""
        rows = self._link.call("fail_job", {"id": job_id, "error": storable_text(error_message)})
        return bool(rows[0]["will_retry"])

    def get_queue_stats(self) -> QueueStats:
        return QueueStats(**self._link.call("get_queue_stats")[0])

    def subscribe_to_new_jobs(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(payload)` from a thread of its own for every notification of new jobs, and with an
        empty payload whenever some may have been missed. Returns the function that ends the subscription.
        """
        listener = Listener(self._link.dsn, CHANNEL, callback)
        listener.start()
        return listener.close

    # What the bridge calls.

    def queue_room(self) -> list[QueueCapacity]:
        """For each queue that live workers serve, how many more jobs they could start at once."""
        return [
            QueueCapacity(
                row["queue"], free=row["room"], slots=row["slots"], shared_with=row["shared_with"], lowest=row["lowest"]
            )
            for row in self._link.call("queue_room")
        ]

    def claim_jobs(self, bridge: str, *, limit: int, lease: timedelta, spans: Sequence[Span]) -> list[Claim]:
        """Claim the most urgent due jobs within `spans` that live workers can run; returned most urgent first."""
        params = {"bridge": bridge, "limit": limit, "lease": lease, **_columns(spans)}
        return [Claim(*row) for row in self._link.tuples("claim_jobs", params)]

    def claim_jobs_apart(
        self, bridge: str, *, limit: int, lease: timedelta, spans: Sequence[Span], skip: Sequence[UUID]
    ) -> tuple[list[Claim], list[Refusal]]:
        """As `claim_jobs`, except the jobs in `skip`, and each job by itself if one is refused. Also returns those."""
        params = {"bridge": bridge, "limit": limit, "lease": lease, "skip": skip, **_columns(spans)}
        rows = self._link.tuples("claim_jobs_apart", params)
        claims = [Claim(*row[:6]) for row in rows if row[6] is None]
        return claims, [Refusal(row[0], row[3], row[6].partition("\n")[0]) for row in rows if row[6] is not None]

    def unstarted(self, claims: Sequence[Claim]) -> set[Claim]:
        """Those that are handed over and wait for their start."""
        waiting = set(self._link.tuples("unstarted", {"ids": [claim.job_id for claim in claims]}))
        return {claim for claim in claims if (claim.job_id, claim.fence) in waiting}

    def latest_seq(self) -> int:
        """The highest `seq` assigned so far, committed or not."""
        return int(self._link.call("latest_seq")[0]["seq"])

    def claim_suspects(self, bridge: str, *, lease: timedelta, limit: int = 1) -> list[Claim]:
        """Take up to `limit` jobs of one queue that are to run alone, since a worker was lost that ran them."""
        refused = self._link.refused
        params = {"bridge": bridge, "lease": lease, "limit": limit, "skip": refused.skip(_CLAIM)}
        claims = [Claim(**row) for row in self._link.call("claim_suspects", params)]
        refused.succeeded(_CLAIM, (claim.job_id for claim in claims))
        return claims

    def release_claims(self, claims: Sequence[Claim], error: str, *, delay: timedelta = timedelta(0)) -> list[UUID]:
        """Release claims that were not started. Returns the ids of those that were still ours."""
        params = {
            "ids": [claim.job_id for claim in claims],
            "fences": [claim.fence for claim in claims],
            "execs": [None] * len(claims),
            "delays": [delay] * len(claims),
            "error": error,
        }
        return [row["job_id"] for row in self._link.call("release_jobs", params)]

    def seconds_to_next_due(self) -> float | None:
        rows = self._link.call("next_due")
        return float(rows[0]["seconds"]) if rows else None

    def reclaim_jobs(self, *, limit: int, grace: timedelta) -> list[Reclaimed]:
        refused = self._link.refused
        rows = self._link.call("reclaim_jobs", {"limit": limit, "grace": grace, "skip": refused.skip(_RECLAIM)})
        refused.succeeded(_RECLAIM, (row["job_id"] for row in rows))
        return [Reclaimed(row["job_id"], Outcome(row["outcome"]), Status(row["status"])) for row in rows]

    def waiting_claims(self, *, age: timedelta, limit: int) -> list[Claim]:
        """Jobs that were handed over at least `age` ago and have not been started, the oldest first."""
        return [Claim(**row) for row in self._link.call("waiting_claims", {"age": age, "limit": limit})]

    def watch_workers(self, *, confirm: timedelta) -> WatchedWorkers:
        """Declare workers lost that have had no link for `confirm`. Returns how many others have none now."""
        return WatchedWorkers(**self._link.call("watch_workers", {"confirm": confirm})[0])

    def declare_lost(self, worker: UUID, *, ended_by: UUID | None) -> None:
        """The worker's process has ended. `ended_by`: the job that ended it, if that is known."""
        self._link.call("declare_lost", {"worker": worker, "ended_by": ended_by})

    def route_jobs(self, *, limit: int) -> list[StuckJobs]:
        params = {"limit": limit, "skip": self._link.refused.skip(_ROUTE)}
        return [StuckJobs(**row) for row in self._link.call("route_jobs", params)]

    def fold_job_counts(self, *, limit: int) -> int:
        """Add up rows of job_counts, to which each statement adds one. Returns how many rows were replaced."""
        return int(self._link.call("fold_job_counts", {"limit": limit})[0]["folded"])

    def prune_jobs(self, age: timedelta, *, limit: int, behind: Pruned | None = None) -> Pruned:
        """Delete jobs that ended longer ago than `age`, oldest first; `behind`: continue after an earlier call."""
        at = {"at": behind and behind.last_at, "id": behind and behind.last_id}
        return Pruned(**self._link.call("prune_finished_jobs", {"age": age, "limit": limit} | at)[0])

    def prune_workers(self, age: timedelta) -> None:
        """Delete the rows of worker processes that ended longer ago than `age`."""
        self._link.call("prune_workers", {"age": age})

    def run_bulk_batch(self, *, limit: int, looked_at: int) -> BulkBatch:
        """Act on up to `limit` jobs of a bulk operation that is due, among the next `looked_at` in the table."""
        return BulkBatch(**self._link.call("run_bulk_batch", {"limit": limit, "looked_at": looked_at})[0])

    def record_history(self) -> int:
        """Add up the minutes that have ended since the last call, by whichever bridge. Returns how many they were."""
        return int(self._link.call("record_history")[0]["minutes"])

    def add_hand_overs(self, jobs: Mapping[HandOvers, int]) -> None:
        """Add to the history how many jobs were handed over, to what other bridges have added."""
        columns = dict(zip(("minutes", "queues", "buckets"), map(list, zip(*jobs, strict=True)), strict=False))
        if jobs:
            self._link.call("add_hand_overs", columns | {"jobs": list(jobs.values())})

    def prune_history(self, *, limit: int) -> int:
        """Delete rows of history that are too old. Returns how many."""
        return int(self._link.call("prune_history", {"limit": limit})[0]["deleted"])

    def prune_idempotency_keys(self, *, limit: int) -> int:
        """Delete keys of start requests that are older than a day. Returns how many."""
        return int(self._link.call("prune_idempotency_keys", {"limit": limit})[0]["deleted"])

    def index_jobs(self, *, limit: int, looked_at: int) -> Indexed:
        """Index the words of up to `limit` jobs, by whichever bridge; `looked_at`: of a sweep through all jobs."""
        return Indexed(**self._link.call("index_jobs", {"limit": limit, "looked_at": looked_at})[0])

    def vacuum_holder(self, seconds: float) -> VacuumHolder | None:
        """What has held back vacuum for longest, if for longer than `seconds`."""
        rows = self._link.call("vacuum_holder", {"seconds": seconds})
        return VacuumHolder(**rows[0]) if rows else None

    # What operators call.

    def cancel_job(self, job_id: UUID, *, by: str | None = None, reason: str | None = None) -> Status | None:
        """Cancel a job: at once, or with its worker's next heartbeat while it runs (`processing` until then).

        None: there is no such job. A finished job stays as it is, and its status is returned.
        """
        return self._operate("cancel_job", job_id, by, reason)

    def retry_job(self, job_id: UUID, *, by: str | None = None, reason: str | None = None) -> Status | None:
        """Run a finished job again with all its retries, or a waiting one now. None: there is no such job."""
        return self._operate("retry_job", job_id, by, reason)

    def _operate(self, action: str, job_id: UUID, by: str | None, reason: str | None) -> Status | None:
        status = self._link.call(action, {"id": job_id, "by": by, "reason": reason})[0]["status"]
        return None if status is None else Status(status)


def _columns(spans: Sequence[Span]) -> dict[str, str]:
    queues, *numbers = zip(*spans, strict=True) if spans else [()] * 5
    columns = [map(quoted, queues), *(map(str, column) for column in numbers)]
    return dict(zip(("queues", "rooms", "lows", "highs", "afters"), map(array, columns), strict=True))
