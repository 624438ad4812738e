"""What follows an attempt by Dramatiq's options: pipelines, callbacks, retries."""

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest

from bridge import Job, actor
from tests.support.fleet import Fleet
from tests.support.rows import Rows, ended
from tests.support.waiting import eventually


@pytest.fixture
def fleet(new_fleet: Callable[..., Fleet]) -> Fleet:
    return new_fleet()


def test_a_pipeline_runs_to_its_end(fleet: Fleet, rows: Rows) -> None:
    @dramatiq.actor
    def add(*numbers: int) -> int:
        return sum(numbers)

    @dramatiq.actor(pipe_ignore=True)
    def say() -> str:
        return "said"

    fleet.start()
    steps = (
        add.message(1, 2)
        | add.message(3)
        | say.message_with_options(pipe_ignore=True)
        | add.message_with_options(args=("!",), delay=200)
    )
    steps.run()

    results = [ended(rows, step.message_id)["result"] for step in steps.messages[:3]]
    assert results == [3, 6, "said"]


def test_a_pipeline_whose_next_step_cannot_be_inserted_fails_its_step(fleet: Fleet, rows: Rows) -> None:
    @dramatiq.actor(max_retries=0)
    def unstorable() -> object:
        return object()

    fleet.start()
    steps = unstorable.message() | fleet.broker.actors["plain"].message()
    steps.run()

    job = ended(rows, steps.messages[0].message_id)
    assert job["status"] == "failed"
    assert "plain.send()" in job["error_message"]


def test_each_callback_runs_once(fleet: Fleet, rows: Rows) -> None:
    calls: list[tuple[str, Any, Any]] = []

    @dramatiq.actor
    def on_good(message: dict[str, Any], result: Any) -> None:
        calls.append(("good", message["args"], result))

    @dramatiq.actor
    def on_bad(message: dict[str, Any], error: Any) -> None:
        calls.append(("bad", message["args"], error["type"]))

    @dramatiq.actor
    def on_end(message: dict[str, Any], about: Any) -> None:
        calls.append(("end", message["args"], about["retries"]))

    @dramatiq.actor(on_success="on_good")
    def works(n: int) -> int:
        return n + 1

    @actor(on_success="on_good")
    def works_on_a_job(job: Job) -> int:
        return job.payload["n"] + 1  # type: ignore[no-any-return]

    @dramatiq.actor(on_failure="on_bad", on_retry_exhausted="on_end", max_retries=1, min_backoff=1, max_backoff=1)
    def breaks(n: int) -> int:
        raise ValueError(n)

    fleet.start()
    works.send(1)
    fleet.broker.actors["works_on_a_job"].send(n=7)
    job = ended(rows, breaks.send(2).message_id)

    assert (job["status"], job["retry_count"]) == ("failed", 2)
    eventually(lambda: len(calls) == 5, what="all callbacks")
    assert sorted(calls, key=str) == [
        ("bad", [2], "ValueError"), ("bad", [2], "ValueError"), ("end", [2], 1),
        ("good", [1], 2), ("good", [{"n": 7}], 8),
    ]  # fmt: skip


@pytest.mark.parametrize("says", ["no", "breaks"])
def test_retry_when_decides(fleet: Fleet, rows: Rows, says: str) -> None:
    asked: list[tuple[int, str]] = []

    def decide(retries: int, error: BaseException) -> bool:
        asked.append((retries, str(error)))
        if says == "breaks" and retries == 0:
            raise RuntimeError("cannot say")
        return retries < 1

    @dramatiq.actor(retry_when=decide, min_backoff=1, max_backoff=1)
    def breaks() -> None:
        raise ValueError("x")

    fleet.start()
    job = ended(rows, breaks.send().message_id)

    assert (job["status"], job["retry_count"], job["max_retries"]) == ("failed", 2, 1_000_000)
    assert asked == [(0, "x"), (1, "x")]


def test_the_actors_backoff_is_used(fleet: Fleet, rows: Rows) -> None:
    @dramatiq.actor(min_backoff=3_600_000)
    def breaks() -> None:
        raise ValueError("x")

    fleet.start()
    message = breaks.send()

    waits = "SELECT run_at - now() AS wait FROM coding_jobs WHERE id = %s AND retry_count = 1"
    (retry,) = eventually(lambda: rows.all(waits, [message.message_id]), what="a retry")
    assert 3590 < retry["wait"].total_seconds() <= 7200
