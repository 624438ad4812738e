from collections.abc import Iterator

import dramatiq.broker
import pytest

from bridge import broker as brokers
from bridge.testing import TestingBroker, connect_testing_broker


@pytest.fixture
def broker() -> Iterator[TestingBroker]:
    before = dramatiq.broker.global_broker
    broker = connect_testing_broker()
    yield broker
    broker.close()
    brokers.stand_in = None
    dramatiq.broker.global_broker = before
