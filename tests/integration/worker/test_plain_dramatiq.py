"""Code written for Dramatiq alone, on this broker: its options, its `.send()`, its pipelines and its middleware."""

from collections.abc import Callable
from uuid import UUID

import dramatiq
import pytest
from dramatiq.middleware import AgeLimit, AsyncIO, Callbacks, CurrentMessage, Pipelines, Retries
from dramatiq.results import ResultFailure, Results
from dramatiq.results.backends import StubBackend

from bridge.errors import SettingsError
from tests.support.failover_loop import patient_client
from tests.support.fleet import Fleet
from tests.support.rows import Rows, ended


@pytest.fixture
def fleet(new_fleet: Callable[..., Fleet]) -> Fleet:
    return new_fleet()


def test_a_middleware_gets_the_id_that_the_sender_got(fleet: Fleet, rows: Rows) -> None:
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
        fleet.actor_log.hold("never")

    fleet.start()
    message = waits.send_with_options(time_limit=200)

    assert ended(rows, message.message_id)["error_message"] == "the time limit was exceeded"


def test_dramatiqs_retries_middleware_is_refused(fleet: Fleet) -> None:
    with pytest.raises(SettingsError, match="Dramatiq's Retries has no place on this broker"):
        fleet.broker.add_middleware(Retries())


@pytest.mark.parametrize("make", [AsyncIO, Callbacks, Pipelines, CurrentMessage])
def test_middleware_that_is_built_in_is_not_added_twice(fleet: Fleet, make: Callable[[], dramatiq.Middleware]) -> None:
    before = list(fleet.broker.middleware)

    fleet.broker.add_middleware(make())

    assert fleet.broker.middleware == before


def test_an_age_limit_of_the_user_replaces_ours(fleet: Fleet) -> None:
    theirs = AgeLimit(max_age=1)

    fleet.broker.add_middleware(theirs)

    assert [one for one in fleet.broker.middleware if isinstance(one, AgeLimit)] == [theirs]


@pytest.mark.parametrize("payload", ['{"options": 1}', '{"options": {"redis_message_id": "x"}}'])
def test_options_in_a_payload_must_be_an_object(fleet: Fleet, rows: Rows, payload: str) -> None:
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
    assert not patient_client(fleet.settings.redis_address()).exists("mobvibe:default.XQ"), "a row is enough"


def test_a_message_carries_its_actors_priority_where_the_lower_one_goes_first(fleet: Fleet, rows: Rows) -> None:
    @dramatiq.actor(priority=5)
    def later() -> None: ...

    @dramatiq.actor(priority=-5)
    def sooner() -> None: ...

    sent = [later.send(), sooner.send()]

    assert [rows.job(UUID(message.message_id))["priority"] for message in sent] == [-5, 5]
