"""What a worker process says about its attempts: start, heartbeat, events, complete, fail, release.

Every call takes many attempts at once, and each is fenced: a row that comes back was still ours, one that
does not was taken over, settled by hand or deleted meanwhile.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from bridge.database import Link
from bridge.errors import SchemaError
from bridge.job import Attempt, Cancelled, Completed, Failed, Job, Released, Status
from bridge.json_text import storable_text, to_json

_HASTE = "100ms"
_ERROR_MOST = 20_000  # characters on the way; the database keeps fewer, and says that it cut


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt as its worker knows it: the three numbers that every word about it must carry.

    `exec` is None for a hand-over that was not started: that can be released, or failed.
    """

    job_id: UUID
    fence: int
    exec: UUID | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something for the session's stream; `data` is JSON text. Its id makes saying it twice harmless."""

    held: Held
    event_type: str
    data: str
    id: UUID = field(default_factory=uuid4)


class Verdict(StrEnum):
    """What a heartbeat may say of an attempt that its worker holds."""

    LOST = "lost"
    CANCELLED = "cancelled"
    STRAY = "stray"


class AttemptBook:
    """The attempts of one worker process, over one connection, for one thread."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def close(self) -> None:
        self._link.close()

    @contextmanager
    def in_haste(self) -> Iterator[None]:
        """In here a call gives up on a lock after a moment: those that meet one must not add up.

        Not on a session that is nobody's own, where others would give up, too.
        """
        if self._link.connection.is_pooled:
            yield
            return
        previous = self._link.call("set_lock_timeout", {"value": _HASTE})[0]["previous"]
        try:
            yield
        finally:
            if self._link.is_open:  # a new one begins with the usual patience
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

    def hold_link(self, worker: UUID, patience: timedelta = timedelta(0)) -> bool:
        """Let others see that this link stands: when it breaks and is not back after `patience`, the worker is lost.

        False when it is not watched, which only makes its loss be noticed later.
        """
        params = {"worker": worker, "pid": self._link.connection.info.backend_pid, "patience": patience}
        return bool(self._link.call("hold_worker_link", params)[0]["held"])

    @property
    def link_opened_at(self) -> float:
        """When the link was opened that the next call goes through: one that is lost or in doubt is replaced first."""
        _ = self._link.connection
        return self._link.opened_at

    @property
    def link_took(self) -> float:
        """How many seconds it took to open."""
        return self._link.opening_seconds

    @property
    def is_linked(self) -> bool:
        return self._link.is_open

    def has_news(self) -> bool:
        """Whether somebody wants this worker to ask at once what it must let go of, or its link is gone."""
        return self._link.has_news()

    def stop(self, worker: UUID) -> None:
        self._link.call("stop_worker", {"worker": worker})

    def heartbeat(
        self, worker: UUID, lease: timedelta, held: Sequence[Held], *, draining: bool = False
    ) -> list[tuple[Verdict, Held]] | None:
        """Renew the worker's lease; what it must let go of. None: it was declared lost, with all it holds.

        A draining worker is given nothing more.
        """
        params = {"worker": worker, "lease": lease, "draining": draining, **_keys(held)}
        rows = self._link.call("heartbeat_worker", params)
        if rows and rows[0]["verdict"] == "refused":
            return None
        fences = {attempt.exec: attempt.fence for attempt in held}
        return [
            (Verdict(row["verdict"]), Held(row["job_id"], fences.get(row["exec"]) or row["fence"], row["exec"]))
            for row in rows
        ]

    # Its attempts, in the order of their lives.

    def start(self, worker: UUID, held: Sequence[Held]) -> dict[UUID, Attempt]:
        """Take up attempts; by exec, those that are ours to run. Saying it twice gives the same answer."""
        rows = self._link.tuples("start_jobs", {"worker": worker, **_keys(held)})
        started = {}
        for position, session_id, prompt, payload, priority, attempt, is_last, queue, actor in rows:
            ours = held[position - 1]
            assert ours.exec is not None
            job = Job(ours.job_id, session_id, prompt, payload, priority, attempt, ours.fence)
            started[ours.exec] = Attempt(job, ours.exec, queue, actor, is_last)
        return started

    def created_at(self, job_id: UUID) -> datetime | None:
        """Since when the job is there; None when it is not any more."""
        rows = self._link.call("created_at", {"id": job_id})
        return rows[0]["created_at"] if rows else None

    def keep(self, held: Sequence[Held], lease: timedelta) -> set[UUID]:
        """Prolong hand-overs that cannot be started yet; the ids of those that are still ours to start."""
        keys = _keys(held)
        rows = self._link.call("keep_claims", {"ids": keys["ids"], "fences": keys["fences"], "lease": lease})
        return {row["id"] for row in rows}

    def add_events(self, events: Sequence[Event]) -> int:
        """Store events in order; how many were stored. Those of attempts no longer ours are not."""
        params = {
            **_keys([event.held for event in events]),
            "events": [event.id for event in events],
            "types": [storable_text(event.event_type) for event in events],
            "data": [event.data for event in events],
        }
        return int(self._link.call("add_session_events", params)[0]["stored"])

    def complete(self, reports: Sequence[tuple[Held, Completed]]) -> dict[UUID, Status]:
        """Report good endings; by job id, where the accepted ones stand now."""
        params = {
            **_keys([held for held, _ in reports]),
            "results": [completed.result for _, completed in reports],
        }
        accepted = self._link.call("complete_jobs", params)[0]["accepted"]
        jobs = accepted if accepted is not None else [held.job_id for held, _ in reports]
        return dict.fromkeys(jobs, Status.COMPLETED)

    def fail(self, reports: Sequence[tuple[Held, Failed]]) -> dict[UUID, Status]:
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

    def _fail(self, statement: str, reports: Sequence[tuple[Held, Failed]]) -> dict[UUID, Status]:
        params = {
            **_keys([held for held, _ in reports]),
            "errors": [storable_text(failed.error[:_ERROR_MOST]) for _, failed in reports],
            "finals": [failed.final for _, failed in reports],
            "delays": [failed.delay for _, failed in reports],
        }
        return {row["job_id"]: Status(row["status"]) for row in self._link.call(statement, params)}

    def cancel(self, reports: Sequence[tuple[Held, Cancelled]]) -> dict[UUID, Status]:
        """Report attempts whose job was called off: there is no further one."""
        params = {
            **_keys([held for held, _ in reports]),
            "errors": [storable_text(cancelled.error[:_ERROR_MOST]) for _, cancelled in reports],
        }
        try:
            return {row["job_id"]: Status.CANCELLED for row in self._link.call("cancel_attempts", params)}
        except SchemaError:  # of schema 11, which one version of skew allows
            return self.fail([(held, Failed(cancelled.error, final=True)) for held, cancelled in reports])

    def release(self, reports: Sequence[tuple[Held, Released]]) -> dict[UUID, Status]:
        """Hand attempts back unfinished, with no retry spent. Done over and over, a job waits longer each time."""
        params = {
            **_keys([held for held, _ in reports]),
            "delays": [released.delay for _, released in reports],
            "error": None,
        }
        return {row["job_id"]: Status.PENDING for row in self._link.call("release_jobs", params)}

    def recorded(self, held: Sequence[Held]) -> dict[UUID, Status]:
        """By job id, the attempts whose ending is in the ledger already, under their own exec."""
        rows = self._link.call("recorded_attempts", _keys(held))
        return {row["job_id"]: Status(row["status"]) for row in rows}

    def still_held(self, held: Sequence[Held]) -> set[UUID]:
        """The execs of those that are not over: their row is as it was when they ran."""
        return {row["exec"] for row in self._link.call("still_held", _keys(held))}


def _keys(held: Sequence[Held]) -> dict[str, str]:
    # As the text of arrays: the driver would look at each element by itself, which takes longer than a short job.
    return {
        "ids": _array([attempt.job_id.hex for attempt in held]),
        "fences": _array([str(attempt.fence) for attempt in held]),
        "execs": _array(["NULL" if attempt.exec is None else attempt.exec.hex for attempt in held]),
    }


def _array(plain: Sequence[str]) -> str:
    """An array of what needs no quotes."""
    return f"{{{','.join(plain)}}}"
