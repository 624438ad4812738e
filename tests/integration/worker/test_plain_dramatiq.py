"""Code written for Dramatiq alone, on this broker: its options, its `.send()`, its pipelines and its middleware."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import dramatiq
import pytest
import redis
from dramatiq.middleware import AgeLimit, AsyncIO, Callbacks, CurrentMessage, Pipelines, Retries
from dramatiq.results import ResultFailure, Results
from dramatiq.results.backends import StubBackend

from bridge import Job, actor
from bridge.errors import DirectSendError, SettingsError
from bridge.settings import Settings
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.waiting import eventually


@pytest.fixture
def fleet(settings: Settings) -> Iterator[Fleet]:
    fleet = Fleet(settings)
    yield fleet
    fleet.stop()


def ended(rows: Rows, job_id: Any) -> dict[str, Any]:
    def job() -> dict[str, Any]:
        row = rows.job(UUID(str(job_id)))
        return row if row["status"] in ("completed", "failed", "cancelled") else {}

    return eventually(job, seconds=20, what=f"the end of {job_id}")


def test_a_message_that_is_sent_is_a_job_under_its_own_id(fleet: Fleet, rows: Rows, caplog: Any) -> None:
    fleet.start()

    first = fleet.broker.actors["plain"].send(1, 2, key="value")
    second = fleet.broker.actors["plain"].send(3)

    assert ended(rows, first.message_id)["result"] == 2
    assert ended(rows, second.message_id)["max_retries"] == 6
    assert fleet.doings.plain == [((1, 2), {"key": "value"}), ((3,), {})]
    assert caplog.text.count("enqueue() from bridge takes your connection") == 1


def test_a_message_that_is_sent_again_stays_one_job(fleet: Fleet, rows: Rows, caplog: Any) -> None:
    message = fleet.broker.actors["plain"].message(1)

    fleet.broker.enqueue(message)
    fleet.broker.enqueue(message)

    assert rows.value("SELECT count(*) FROM coding_jobs") == 1
    assert "was sent before" in caplog.text


def test_a_delay_is_kept_by_postgres(fleet: Fleet, rows: Rows) -> None:
    message = fleet.broker.actors["plain"].send_with_options(args=(1,), delay=3_600_000)

    wait = rows.value("SELECT run_at - created_at FROM coding_jobs WHERE id = %s", [message.message_id])
    assert abs(wait.total_seconds() - 3600) < 1


def test_an_actor_that_takes_its_job_gets_what_is_sent_as_its_payload(fleet: Fleet, rows: Rows) -> None:
    fleet.start()
    double = fleet.broker.actors["double"]

    by_dict = double.send({"n": 4})
    by_keys = double.send(n=5)

    assert ended(rows, by_dict.message_id)["result"] == {"twice": 8}
    assert ended(rows, by_keys.message_id)["result"] == {"twice": 10}
    with pytest.raises(DirectSendError, match="send\\(\\) it one dict"):
        double.send(1)
    with pytest.raises(DirectSendError, match="have no options \\(max_age\\)"):
        double.send_with_options(args=({"n": 1},), max_age=1)


def test_what_cannot_be_a_job_fails_its_sender_at_once(fleet: Fleet, rows: Rows) -> None:
    @dramatiq.actor
    def sends_an_object() -> None:
        fleet.broker.actors["plain"].send(object())

    fleet.start()
    message = sends_an_object.send()

    job = ended(rows, message.message_id)
    assert (job["status"], job["retry_count"]) == ("failed", 1)
    assert "plain.send()" in job["error_message"]


def test_an_id_that_is_no_uuid_is_refused(fleet: Fleet) -> None:
    with pytest.raises(DirectSendError, match="must be a UUID, not 'mine'"):
        fleet.broker.enqueue(fleet.broker.actors["plain"].message(1).copy(message_id="mine"))


def test_a_middleware_sees_the_id_that_the_sender_knows(fleet: Fleet, rows: Rows) -> None:
    seen: list[tuple[str, int]] = []

    @dramatiq.actor(min_backoff=1, max_backoff=1)
    def twice() -> None:
        message = CurrentMessage.get_current_message()
        assert message is not None
        seen.append((message.message_id, message.options.get("retries", 0)))
        if len(seen) == 1:
            raise ValueError("once more")

    fleet.start()
    sent = twice.send()

    assert ended(rows, sent.message_id)["status"] == "completed"
    assert seen == [(sent.message_id, 0), (sent.message_id, 1)]


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


def test_a_step_that_cannot_be_inserted_is_no_step_that_was_made(fleet: Fleet, rows: Rows) -> None:
    @dramatiq.actor(max_retries=0)
    def unstorable() -> object:
        return object()

    fleet.start()
    steps = unstorable.message() | fleet.broker.actors["plain"].message()
    steps.run()

    job = ended(rows, steps.messages[0].message_id)
    assert job["status"] == "failed"
    assert "plain.send()" in job["error_message"]


def test_callbacks_come_once_each(fleet: Fleet, rows: Rows) -> None:
    heard: list[tuple[str, Any, Any]] = []

    @dramatiq.actor
    def on_good(message: dict[str, Any], result: Any) -> None:
        heard.append(("good", message["args"], result))

    @dramatiq.actor
    def on_bad(message: dict[str, Any], error: Any) -> None:
        heard.append(("bad", message["args"], error["type"]))

    @dramatiq.actor
    def on_end(message: dict[str, Any], about: Any) -> None:
        heard.append(("end", message["args"], about["retries"]))

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
    eventually(lambda: len(heard) == 5, what="all callbacks")
    assert sorted(heard, key=str) == [
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


def test_backoff_is_the_actors(fleet: Fleet, rows: Rows) -> None:
    @dramatiq.actor(min_backoff=3_600_000)
    def breaks() -> None:
        raise ValueError("x")

    fleet.start()
    message = breaks.send()

    waits = "SELECT run_at - now() AS wait FROM coding_jobs WHERE id = %s AND retry_count = 1"
    (retry,) = eventually(lambda: rows.all(waits, [message.message_id]), what="a retry")
    assert 3590 < retry["wait"].total_seconds() <= 7200


def test_an_old_message_is_skipped(fleet: Fleet, rows: Rows) -> None:
    ran: list[str] = []

    @dramatiq.actor(max_age=60_000)
    def ages(name: str) -> None:
        ran.append(name)

    old, young = ages.send("old"), ages.send("young")
    rows.all("UPDATE coding_jobs SET created_at = now() - interval '2 min' WHERE id = %s", [old.message_id])
    fleet.start()

    job = ended(rows, old.message_id)
    assert (job["status"], job["error_message"]) == ("cancelled", "skipped by AgeLimit: Message age limit exceeded")
    assert ended(rows, young.message_id)["status"] == "completed"
    assert ran == ["young"]


def test_a_time_limit_of_one_message_is_kept(fleet: Fleet, rows: Rows) -> None:
    @dramatiq.actor(max_retries=0)
    def waits() -> None:
        fleet.doings.hold("never")

    fleet.start()
    message = waits.send_with_options(time_limit=200)

    assert ended(rows, message.message_id)["error_message"] == "the time limit was exceeded"


def test_dramatiqs_retries_are_refused_by_name(fleet: Fleet) -> None:
    with pytest.raises(SettingsError, match="Dramatiq's Retries has no place on this broker"):
        fleet.broker.add_middleware(Retries())


@pytest.mark.parametrize("make", [AsyncIO, Callbacks, Pipelines, CurrentMessage])
def test_what_is_served_already_is_not_added_twice(fleet: Fleet, make: Callable[[], dramatiq.Middleware]) -> None:
    before = list(fleet.broker.middleware)

    fleet.broker.add_middleware(make())

    assert fleet.broker.middleware == before


def test_an_age_limit_for_all_takes_the_place_of_ours(fleet: Fleet) -> None:
    theirs = AgeLimit(max_age=1)

    fleet.broker.add_middleware(theirs)

    assert [one for one in fleet.broker.middleware if isinstance(one, AgeLimit)] == [theirs]


@pytest.mark.parametrize("payload", ['{"options": 1}', '{"options": {"redis_message_id": "x"}}'])
def test_options_in_a_payload_are_an_object_of_theirs(fleet: Fleet, rows: Rows, payload: str) -> None:
    fleet.start()
    job_id = rows.value(
        "INSERT INTO coding_jobs (actor, queue, payload) VALUES ('plain', 'default', %s) RETURNING id", [payload]
    )

    assert "'options' must be an object" in ended(rows, job_id)["error_message"]


def test_the_exception_of_a_job_that_failed_for_good_is_a_result(fleet: Fleet, rows: Rows) -> None:
    backend = StubBackend()
    fleet.broker.add_middleware(Results(backend=backend))

    @dramatiq.actor(store_results=True, max_retries=1, min_backoff=1, max_backoff=1)
    def fail_for_good() -> None:
        raise ValueError("no")

    fleet.start()
    sent = fail_for_good.send()

    assert ended(rows, sent.message_id)["status"] == "failed"
    with pytest.raises(ResultFailure, match="ValueError: no"):
        sent.get_result(backend=backend, block=True, timeout=5000)
    assert not redis.Redis.from_url(fleet.settings.redis_address()).exists("mobvibe:default.XQ"), "a row is enough"


def test_a_message_carries_its_actors_priority_where_the_lower_one_goes_first(fleet: Fleet, rows: Rows) -> None:
    @dramatiq.actor(priority=5)
    def later() -> None: ...

    @dramatiq.actor(priority=-5)
    def sooner() -> None: ...

    sent = [later.send(), sooner.send()]

    assert [rows.job(UUID(message.message_id))["priority"] for message in sent] == [-5, 5]
