"""What the figures mean: one sentence, and what needs attention, with what to do about it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bridge.job import Status
from bridge.postgres.job_filter import JobFilter
from bridge.postgres.queue_pauses import Pause
from bridge.web.template_filters import duration, lasted

STUCK_SECONDS = 60.0  # a worker starts what it is handed within milliseconds, and a lost message is noticed within this
_OLD_SECONDS = 60.0  # of a job that could run: people begin to wonder
# Of the attempts of the last minutes: a few failures are everyday life.
_SPIKE_SHARE, _SPIKE_LEAST = 0.2, 5
_NAMED_MOST = 5  # actors: a list of more is no help, and the command names all


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that needs attention. `q` is the filter of the jobs it is about; None: it leads to another page."""

    text: str
    q: str | None
    page: str = "workers"


def findings(
    live: Mapping[str, Any],
    attention: Mapping[str, Any],
    in_vain: Sequence[Mapping[str, Any]],
    latest: Mapping[str, Any] | None,
    pauses: Mapping[str, Pause],
) -> list[Finding]:
    """`live`, `attention` and `in_vain` are what the statements of those names return, `latest` is of a history."""
    in_vain = [row for row in in_vain if row["queue"] not in pauses]
    found = [*_of_workers(live, attention, in_vain), *_of_queues(live, pauses)]
    if attention["stuck"]:
        text = "Jobs were handed over more than a minute ago and have not started. See why: mobvibe doctor"
        found.append(Finding(text, str(JobFilter(status=Status.PROCESSING))))
    if latest is not None and (share := _failing(latest)) is not None:
        text = f"{share:.0%} of the attempts of the last {latest['steps']} minutes failed. Look at their errors"
        found.append(Finding(text, str(JobFilter(attempt=1))))
    return found


def sentence(live: Mapping[str, Any], found: Sequence[Finding], latest: Mapping[str, Any] | None) -> str:
    if found:
        more = f" And {len(found) - 1} more below." if len(found) > 1 else ""
        return f"{found[0].text}.{more}"
    parts = [_rate(latest)] if latest is not None else []
    wait = latest["latency_seconds"]["wait"]["p95"] if latest else None
    if wait is not None:
        parts.append(f"p95 wait {duration(wait)}")
    oldest = max((queue["oldest_due_seconds"] or 0.0 for queue in live["queues"]), default=0.0)
    parts.append(f"oldest pending {_seconds(oldest)}" if oldest else "none waits")
    return f"Healthy: {', '.join(parts)}."


def _of_workers(
    live: Mapping[str, Any], attention: Mapping[str, Any], in_vain: Sequence[Mapping[str, Any]]
) -> Iterable[Finding]:
    if not live["workers"]:
        waits = any(queue["pending"] for queue in live["queues"])
        pending = str(JobFilter(status=Status.PENDING)) if waits else None
        yield Finding(
            "No worker is running" + (", and jobs wait" if waits else "") + ". Start one: mobvibe worker", pending
        )
    else:
        for row in in_vain[:_NAMED_MOST]:
            where = f"the actor {row['actor']} in the queue {row['queue']}"
            text = f"No live worker runs {where}, where its jobs wait. Start one that does"
            yield Finding(text, str(JobFilter(status=Status.PENDING, queue=row["queue"], actor=row["actor"])))
    if attention["silent"]:
        yield Finding("A worker is silent: its lease has run out. Its jobs run again elsewhere", None)


def _of_queues(live: Mapping[str, Any], pauses: Mapping[str, Pause]) -> Iterable[Finding]:
    for pause in pauses.values():
        yield Finding(f"The queue {pause.queue} is {pause}. Resume it when its jobs may run", None, "queues")
    for queue in live["queues"]:
        oldest = queue["oldest_due_seconds"]
        if queue["queue"] not in pauses and oldest is not None and oldest > _OLD_SECONDS and live["workers"]:
            busy = live["busy"] >= live["slots"]
            what = "All slots are busy: add workers" if busy else "Slots are free: mobvibe doctor says why it waits"
            text = f"The oldest job of the queue {queue['queue']} has waited for {_seconds(oldest)}. {what}"
            yield Finding(text, str(JobFilter(status=Status.PENDING, queue=queue["queue"])))


def _failing(latest: Mapping[str, Any]) -> float | None:
    failed = latest["counts"]["failed_attempts"]
    share = failed / max(failed + latest["counts"]["completed"], 1)
    return share if failed >= _SPIKE_LEAST and share >= _SPIKE_SHARE else None


def _rate(latest: Mapping[str, Any]) -> str:
    a_minute = latest["counts"]["completed"] / max(latest["steps"], 1)
    return f"{a_minute:,.0f} jobs/min" if a_minute >= 1 or a_minute == 0 else f"{a_minute:.1f} jobs/min"


def _seconds(seconds: float) -> str:
    return lasted(timedelta(seconds=seconds))
