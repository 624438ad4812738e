"""The calls of a worker process about its attempts: start, heartbeat, events, complete, fail, release.

Each call takes many attempts, and each attempt is fenced: a row that is returned was still ours; one that is not
returned was meanwhile taken over, changed by an operator or deleted.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from bridge.job import Attempt, Cancelled, Completed, Failed, Released, Status
from bridge.postgres.array_text import array, quoted
from bridge.postgres.json_text import storable_text, to_json
from bridge.postgres.link import Link
from bridge.postgres.older_schema import unless_missing
from bridge.postgres.pooling import session_pid

_NO_PID = 0  # no process of the server has it
_HASTE_SECONDS = 0.1  # longer than most transactions hold a row lock; short, because many such waits may add up
ERROR_MOST = 20_000  # characters sent: the database keeps fewer, and notes in the text that it was cut


@dataclass(slots=True, unsafe_hash=True)  # nobody changes one; frozen, it would take three times as long to make
class AttemptKey:
    """What each call about an attempt carries: the job, its fence, and `exec`, the id of this start of it.

    `exec` is None for a hand-over that was not started: it can only be released or failed.
    """

    job_id: UUID
    fence: int
    exec: UUID | None


@dataclass(frozen=True, slots=True)
class Event:
    """An event for the session's stream; `data` is JSON text. Its id makes it harmless to store it twice."""

    key: AttemptKey
    event_type: str
    data: str
    id: UUID = field(default_factory=uuid4)


class Verdict(StrEnum):
    """What a heartbeat's answer may say of an attempt. STRAY: its row names this worker, which does not hold it."""

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
    def in_haste(self, seconds: float = _HASTE_SECONDS) -> Iterator[None]:
        """Inside the `with`, a call soon stops waiting for a lock, so that many waits do not add up to a long time.

        Not on a pooled session, which is shared: there the setting would affect other clients.
        """
        if self._link.connection.is_pooled:
            yield
            return
        previous = self._link.call("set_lock_timeout", {"value": f"{max(1, round(seconds * 1000))}ms"})[0]["previous"]
        try:
            yield
        finally:
            if self._link.is_open:  # a new link has the usual timeout
                self._link.call("set_lock_timeout", {"value": previous})

    # Calls about the worker itself.

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
        params = {"worker": worker, "pid": session_pid(self._link.connection) or _NO_PID, "grace": grace}
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
        """Whether a heartbeat is needed at once: a job was cancelled, or the link is lost."""
        return self._link.has_news()

    def stop(self, worker: UUID) -> None:
        self._link.call("stop_worker", {"worker": worker})

    def is_told_to_drain(self, worker: UUID) -> bool:
        """Whether an operator wants this worker to take no jobs."""
        rows = self._link.call("is_told_to_drain", {"worker": worker})
        return bool(rows and rows[0]["told"])

    def stay_drained(self, worker: UUID) -> None:
        """Under this new id, the worker is as drained as under the old one."""
        self._link.call("stay_drained", {"worker": worker})

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

    # Calls about its attempts, in the order in which an attempt needs them.

    def start(self, worker: UUID, keys: Sequence[AttemptKey]) -> dict[UUID, Attempt]:
        """Start attempts; returns by exec those that are ours to run. Asking twice gives the same answer."""
        rows = self._link.tuples("start_jobs", {"worker": worker, **_as_arrays(keys)})
        started = {}
        for position, *row in rows:
            ours = keys[position - 1]
            assert ours.exec is not None
            started[ours.exec] = Attempt(ours.job_id, *row)  # its fields have the order of the columns
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
        """Store events in order, except those of attempts that are no longer ours. Returns how many were stored."""
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
            "results": array([quoted(completed.result) for _, completed in reports]),
        }
        accepted = self._link.call("complete_jobs", params)[0]["accepted"]
        jobs = accepted if accepted is not None else [key.job_id for key, _ in reports]
        return dict.fromkeys(jobs, Status.COMPLETED)

    def fail(self, reports: Sequence[tuple[AttemptKey, Failed]]) -> dict[UUID, Status]:
        """Report failures; returns by job id the new status: `pending`, there will be a retry; `failed`, a dead letter.

        A hand-over that could not be started fails like any attempt, with the usual wait.
        """
        settled: dict[UUID, Status] = {}
        for name, chosen in (
            ("fail_jobs", [report for report in reports if report[0].exec is not None]),
            ("fail_claims", [report for report in reports if report[0].exec is None]),
        ):
            if chosen or not reports:  # a call without reports is a probe: can this function be called?
                settled |= self._fail(name, chosen)
        return settled

    def _fail(self, statement: str, reports: Sequence[tuple[AttemptKey, Failed]]) -> dict[UUID, Status]:
        params = {
            **_as_arrays([key for key, _ in reports]),
            "errors": [storable_text(failed.error[:ERROR_MOST]) for _, failed in reports],
            "finals": [failed.final for _, failed in reports],
            "delays": [failed.delay for _, failed in reports],
        }
        return {row["job_id"]: Status(row["status"]) for row in self._link.call(statement, params)}

    def cancel(self, reports: Sequence[tuple[AttemptKey, Cancelled]]) -> dict[UUID, Status]:
        """Report attempts whose job was cancelled in the worker: there is no further attempt."""
        params = {
            **_as_arrays([key for key, _ in reports]),
            "errors": [storable_text(cancelled.error[:ERROR_MOST]) for _, cancelled in reports],
        }
        rows = unless_missing(lambda: self._link.call("cancel_attempts", params))
        if rows is None:
            return self.fail([(key, Failed(cancelled.error, final=True)) for key, cancelled in reports])
        return {row["job_id"]: Status.CANCELLED for row in rows}

    def release(self, reports: Sequence[tuple[AttemptKey, Released]]) -> dict[UUID, Status]:
        """Hand attempts back unfinished; no retry is spent. A job that is handed back often waits longer and longer."""
        params = {
            **_as_arrays([key for key, _ in reports]),
            "delays": [released.delay for _, released in reports],
            "error": None,
        }
        return {row["job_id"]: Status.PENDING for row in self._link.call("release_jobs", params)}

    def recorded(self, keys: Sequence[AttemptKey]) -> dict[UUID, Status]:
        """By job id, the status of those attempts whose end is already in the ledger, with their own exec."""
        rows = self._link.call("recorded_attempts", _as_arrays(keys))
        return {row["job_id"]: Status(row["status"]) for row in rows}

    def still_held(self, keys: Sequence[AttemptKey]) -> set[UUID]:
        """The execs of those attempts that are not over: the row of the job still has their fence and exec."""
        return {row["exec"] for row in self._link.call("still_held", _as_arrays(keys))}


def _as_arrays(keys: Sequence[AttemptKey]) -> dict[str, str]:
    return {
        "ids": array([key.job_id.hex for key in keys]),
        "fences": array([str(key.fence) for key in keys]),
        "execs": array(["NULL" if key.exec is None else key.exec.hex for key in keys]),
    }
