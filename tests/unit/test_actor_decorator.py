"""`@actor` makes a Dramatiq actor whose argument is the job."""

from collections.abc import Iterator

import dramatiq.broker
import pytest
from dramatiq.brokers.stub import StubBroker

from bridge import Job, actor
from bridge.worker.middleware import ACTOR_OPTIONS


@pytest.fixture(autouse=True)
def broker_before() -> Iterator[None]:
    before = dramatiq.broker.global_broker
    yield
    dramatiq.broker.global_broker = before


def test_an_actor_has_its_own_name_and_the_defaults_of_jobs() -> None:
    broker = StubBroker()
    broker.actor_options |= ACTOR_OPTIONS
    dramatiq.set_broker(broker)

    @actor
    def greet(job: Job) -> None: ...

    @actor(queue_name="reports", max_retries=5, actor_name="build_report")
    async def build(job: Job) -> None: ...

    assert broker.actors == {"greet": greet, "build_report": build}
    assert (greet.queue_name, greet.options["max_retries"], greet.options["takes_job"]) == ("default", 3, True)
    assert (build.queue_name, build.options["max_retries"], build.options["takes_job"]) == ("reports", 5, True)


def test_without_a_broker_it_says_what_to_call_first() -> None:
    dramatiq.broker.global_broker = None

    with pytest.raises(RuntimeError, match=r"call connect_broker\(\)"):
        actor(lambda _: None)
