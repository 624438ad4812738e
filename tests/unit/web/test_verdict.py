"""What needs attention, and the sentence that says how it stands."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.postgres.job_filter import parse_filter
from bridge.postgres.queue_pauses import Pause
from bridge.web.verdict import findings, sentence

NOTHING = {"stuck": False, "silent": False}


def queue(**changes: Any) -> dict[str, Any]:
    counts = {"pending": 0, "processing": 0, "completed": 0, "failed": 0, "cancelled": 0}
    return {"queue": "coding", **counts, "oldest_due_seconds": None, **changes}


def live(*queues: dict[str, Any], workers: int = 1, slots: int = 2, busy: int = 0) -> dict[str, Any]:
    return {"queues": list(queues), "workers": workers, "slots": slots, "busy": busy}


def latest(completed: int = 0, failed_attempts: int = 0, wait: float | None = None) -> dict[str, Any]:
    counts = {"completed": completed, "failed_attempts": failed_attempts}
    return {"steps": 5, "counts": counts, "latency_seconds": {"wait": {"p95": wait}}}


@pytest.mark.parametrize(
    ("figures", "recent", "said"),
    [
        (live(queue()), latest(), "Healthy: 0 jobs/min, none waits."),
        (
            live(queue(pending=1, oldest_due_seconds=3.2)),
            latest(210, wait=0.8),
            "Healthy: 42 jobs/min, p95 wait 800 ms, oldest pending 3 s.",
        ),
        (live(queue()), latest(2), "Healthy: 0.4 jobs/min, none waits."),
        (live(queue(pending=1)), None, "Healthy: none waits."),
    ],
)
def test_the_sentence_of_a_healthy_fleet(figures: dict[str, Any], recent: dict[str, Any] | None, said: str) -> None:
    found = findings(figures, NOTHING, [], recent, {})

    assert found == []
    assert sentence(figures, found, recent) == said


@pytest.mark.parametrize(
    ("figures", "attention", "in_vain", "recent", "said", "q"),
    [
        (live(workers=0), {}, [], None, "No worker is running. Start one", None),
        (live(queue(pending=1), workers=0), {}, [], None, "No worker is running, and jobs wait", "status:pending"),
        (
            live(queue(pending=1)),
            {},
            [{"actor": "x y", "queue": "q", "jobs": 1}],
            None,
            "runs the actor x y in the queue q",
            'status:pending queue:q actor:"x y"',
        ),
        (live(), {"silent": True}, [], None, "A worker is silent", None),
        (
            live(queue(oldest_due_seconds=61.0)),
            {},
            [],
            None,
            "has waited for 1 min. Slots are free",
            "status:pending queue:coding",
        ),
        (
            live(queue(oldest_due_seconds=61.0), busy=2),
            {},
            [],
            None,
            "All slots are busy: add workers",
            "status:pending queue:coding",
        ),
        (live(), {"stuck": True}, [], None, "have not started", "status:processing"),
        (live(), {}, [], latest(19, 5), "21% of the attempts of the last 5 minutes failed", "attempt:1"),
    ],
)
def test_what_needs_attention_leads_to_the_jobs_it_is_about(
    figures: dict[str, Any],
    attention: dict[str, bool],
    in_vain: list[dict[str, Any]],
    recent: Any,
    said: str,
    q: str | None,
) -> None:
    (found,) = findings(figures, NOTHING | attention, in_vain, recent, {})

    assert said in found.text
    assert found.q == q
    assert q is None or str(parse_filter(q)) == q
    assert sentence(figures, [found], recent) == f"{found.text}."
    assert sentence(figures, [found, found], recent).endswith("And 1 more below.")


@pytest.mark.parametrize("recent", [latest(21, 5), latest(0, 4), latest(100, 0)])
def test_a_few_failures_are_no_spike(recent: dict[str, Any]) -> None:
    assert findings(live(), NOTHING, [], recent, {}) == []


def test_a_paused_queue_is_named_and_its_jobs_are_not_late() -> None:
    pause = Pause("coding", datetime(2026, 1, 2, tzinfo=UTC), "ops", "a deploy")
    figures = live(queue(pending=1, oldest_due_seconds=600.0))

    (found,) = findings(figures, NOTHING, [{"actor": "x", "queue": "coding", "jobs": 1}], None, {"coding": pause})

    assert found.text.startswith("The queue coding is paused since 2026-01-02 00:00:00Z by ops: a deploy.")
    assert (found.q, found.page) == (None, "queues")
