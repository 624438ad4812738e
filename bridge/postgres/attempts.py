"""The calls of a worker process about its attempts: start, heartbeat, events, complete, fail, release.

Each call takes many attempts, and each attempt is fenced: a row that comes back was still ours; one that does not come
back was taken over, settled by hand or deleted meanwhile.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from bridge.errors import SchemaError
from bridge.job import Attempt, Cancelled, Completed, Failed, Released, Status
from bridge.postgres.json_text import storable_text, to_json
from bridge.postgres.link import Link

_HASTE = "100ms"  # longer than most transactions hold a row; short, as many such waits may follow each other
_ERROR_MOST = 20_000  # characters on the way: the database keeps fewer, and notes in the text that it was cut


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """What each call about an attempt carries: the job, its fence, and `exec`, the id of this start of it.

    `exec` is None for a hand-over that was not started: that can be released, or failed.
    """

    job_id: UUID
    fence: int
    exec: UUID | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something for the session's stream; `data` is JSON text. Its id makes it harmless to store it twice."""

    key: AttemptKey
    event_type: str
    data: str
    id: UUID = field(default_factory=uuid4)


class Verdict(StrEnum):
    """What a heartbeat may say of an attempt that its worker holds."""

    LOST = "lost"
    CANCELLED = "cancelled"
    STRAY = "stray"


class Attempts:
    """The attempts of one worker process, over one connection, for one thread."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def close(self) -> None:
        self._link.close()

    @contextmanager
    def in_haste(self) -> Iterator[None]:
        """In here a call soon gives up waiting for a lock, so that many of them do not add up to a long time.

        Not on a pooled session, which is shared: there the setting would reach the calls of others.
        """
        if self._link.connection.is_pooled:
            yield
            return
        previous = self._link.call("set_lock_timeout", {"value": _HASTE})[0]["previous"]
        try:
            yield
        finally:
            if self._link.is_open:  # a new one has the usual timeout
                self._link.call("set_lock_timeout", {"value": previous})

    # The worker itself.

    def register(
        self,
        worker: UUID,
        *,
        name: str,
        slots: int,
        queues: Sequence[str],
        actors: Mapping[str, Mapping[str, Any]],
        version: str,
        lease: timedelta,
    ) -> None:
        """Announce a worker process: `actors` maps each actor's name to its `queue` and `max_retries`."""
        params = {
            "worker": worker,
            "name": name,
            "slots": slots,
            "queues": list(queues),
            "actor_options": to_json(actors, "list of actors"),
            "version": version,
            "lease": lease,
        }
        self._link.call("register_worker", params)

    def hold_link(self, worker: UUID, grace: timedelta = timedelta(0)) -> bool:
        """Hold a lock that shows that this link is up. When it is broken for longer than `grace`, the worker is lost.

        False when the lock could not be taken: then the loss of this worker is only noticed when its lease is over.
        """
        params = {"worker": worker, "pid": self._link.connection.info.backend_pid, "grace": grace}
        return bool(self._link.call("hold_worker_link", params)[0]["held"])

    @property
    def link_opened_at(self) -> float:
        """When the link of the next call was opened. A link that is lost or in doubt is replaced first."""
        self._link.open()
        return self._link.opened_at

    @property
    def link_took(self) -> float:
        """How many seconds it took to open the link."""
        return self._link.opening_seconds

    @property
    def is_linked(self) -> bool:
        return self._link.is_open

    def has_news(self) -> bool:
        """Whether a heartbeat is needed at once: a job was cancelled, or the link is gone."""
        return self._link.has_news()

    def stop(self, worker: UUID) -> None:
        self._link.call("stop_worker", {"worker": worker})

    def heartbeat(
        self, worker: UUID, lease: timedelta, keys: Sequence[AttemptKey], *, draining: bool = False
    ) -> list[tuple[Verdict, AttemptKey]] | None:
        """Renew the worker's lease; returns what it must give up. None: it was declared lost, with all it holds.

        A draining worker is given no more jobs.
        """
        params = {"worker": worker, "lease": lease, "draining": draining, **_as_arrays(keys)}
        rows = self._link.call("heartbeat_worker", params)
        if rows and rows[0]["verdict"] == "refused":
            return None
        fences = {key.exec: key.fence for key in keys}
        return [
            (Verdict(row["verdict"]), AttemptKey(row["job_id"], fences.get(row["exec"]) or row["fence"], row["exec"]))
            for row in rows
        ]

    # Its attempts, in the order of their lives.

    def start(self, worker: UUID, keys: Sequence[AttemptKey]) -> dict[UUID, Attempt]:
        """Start attempts; returns by exec those that are ours to run. Asking twice gives the same answer."""
        rows = self._link.tuples("start_jobs", {"worker": worker, **_as_arrays(keys)})
        started = {}
        for position, *row in rows:
            ours = keys[position - 1]
            assert ours.exec is not None
            started[ours.exec] = Attempt(ours.job_id, *row)  # whose fields are in the order of the columns
        return started

    def created_at(self, job_id: UUID) -> datetime | None:
        """When the job was inserted; None when it is deleted."""
        rows = self._link.call("created_at", {"id": job_id})
        return rows[0]["created_at"] if rows else None

    def keep(self, keys: Sequence[AttemptKey], lease: timedelta) -> set[UUID]:
        """Prolong hand-overs that cannot be started yet; returns the ids of those that are still ours to start."""
        arrays = _as_arrays(keys)
        rows = self._link.call("keep_claims", {"ids": arrays["ids"], "fences": arrays["fences"], "lease": lease})
        return {row["id"] for row in rows}

    def add_events(self, events: Sequence[Event]) -> int:
        """Store events in order; how many were stored. Those of attempts no longer ours are not."""
        params = {
            **_as_arrays([event.key for event in events]),
            "events": [event.id for event in events],
            "types": [storable_text(event.event_type) for event in events],
            "data": [event.data for event in events],
        }
        return int(self._link.call("add_session_events", params)[0]["stored"])

    def complete(self, reports: Sequence[tuple[AttemptKey, Completed]]) -> dict[UUID, Status]:
        """Report results; returns by job id the new status of those that were accepted."""
        params = {
            **_as_arrays([key for key, _ in reports]),
            "results": [completed.result for _, completed in reports],
        }
        accepted = self._link.call("complete_jobs", params)[0]["accepted"]
        jobs = accepted if accepted is not None else [key.job_id for key, _ in reports]
        return dict.fromkeys(jobs, Status.COMPLETED)

    def fail(self, reports: Sequence[tuple[AttemptKey, Failed]]) -> dict[UUID, Status]:
        """Report failures; `pending` is a retry to come, `failed` a dead letter.

        A hand-over that could not be started fails like any attempt, with the usual wait.
        """
        settled: dict[UUID, Status] = {}
        for name, chosen in (
            ("fail_jobs", [report for report in reports if report[0].exec is not None]),
            ("fail_claims", [report for report in reports if report[0].exec is None]),
        ):
            if chosen or not reports:  # of none, it says whether it could be said
                settled |= self._fail(name, chosen)
        return settled

    def _fail(self, statement: str, reports: Sequence[tuple[AttemptKey, Failed]]) -> dict[UUID, Status]:
        params = {
            **_as_arrays([key for key, _ in reports]),
            "errors": [storable_text(failed.error[:_ERROR_MOST]) for _, failed in reports],
            "finals": [failed.final for _, failed in reports],
            "delays": [failed.delay for _, failed in reports],
        }
        return {row["job_id"]: Status(row["status"]) for row in self._link.call(statement, params)}

    def cancel(self, reports: Sequence[tuple[AttemptKey, Cancelled]]) -> dict[UUID, Status]:
        """Report attempts whose job was cancelled where it ran: there is no further attempt."""
        params = {
            **_as_arrays([key for key, _ in reports]),
            "errors": [storable_text(cancelled.error[:_ERROR_MOST]) for _, cancelled in reports],
        }
        try:
            return {row["job_id"]: Status.CANCELLED for row in self._link.call("cancel_attempts", params)}
        except SchemaError:  # of schema 11, which one version of skew allows
            return self.fail([(key, Failed(cancelled.error, final=True)) for key, cancelled in reports])

    def release(self, reports: Sequence[tuple[AttemptKey, Released]]) -> dict[UUID, Status]:
        """Hand attempts back unfinished; no retry is spent. A job that is handed back often waits longer each time."""
        params = {
            **_as_arrays([key for key, _ in reports]),
            "delays": [released.delay for _, released in reports],
            "error": None,
        }
        return {row["job_id"]: Status.PENDING for row in self._link.call("release_jobs", params)}

    def recorded(self, keys: Sequence[AttemptKey]) -> dict[UUID, Status]:
        """By job id, the attempts whose end is in the ledger already, under their own exec."""
        rows = self._link.call("recorded_attempts", _as_arrays(keys))
        return {row["job_id"]: Status(row["status"]) for row in rows}

    def still_held(self, keys: Sequence[AttemptKey]) -> set[UUID]:
        """The execs of those that are not over: their row is as it was when they ran."""
        return {row["exec"] for row in self._link.call("still_held", _as_arrays(keys))}


def _as_arrays(keys: Sequence[AttemptKey]) -> dict[str, str]:
    # As the text of arrays: the driver would adapt each element by itself, which takes longer than a short job.
    return {
        "ids": _array([key.job_id.hex for key in keys]),
        "fences": _array([str(key.fence) for key in keys]),
        "execs": _array(["NULL" if key.exec is None else key.exec.hex for key in keys]),
    }


def _array(plain: Sequence[str]) -> str:
    """An array of what needs no quotes."""
    return f"{{{','.join(plain)}}}"
