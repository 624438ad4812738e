"""The broker of an actors package: the order of its middleware."""

from collections.abc import Iterator

import dramatiq.broker
import pytest
from dramatiq import Middleware
from pydantic import SecretStr

from bridge.broker import connect_broker
from bridge.settings import Settings
from bridge.worker.middleware import JobMiddleware
from bridge.worker.watched import Watched


@pytest.fixture(autouse=True)
def broker_before() -> Iterator[None]:
    before = dramatiq.broker.global_broker
    yield
    dramatiq.broker.global_broker = before


def test_our_middleware_stays_first_when_others_are_added() -> None:
    broker = connect_broker(
        Settings(database_url=SecretStr("postgresql://127.0.0.1:9/d"), redis_url=SecretStr("redis://127.0.0.1:9/0"))
    )
    first = [Watched, JobMiddleware]
    assert [type(one) for one in broker.middleware[:2]] == first

    class Tracer(Middleware):
        pass

    broker.add_middleware(Tracer(), before=Watched)

    assert [type(one) for one in broker.middleware[:3]] == [*first, Tracer]
