"""Hooks of middleware: which are called, and what becomes of what they raise."""

import fakeredis
import pytest
from dramatiq import Middleware
from dramatiq.broker import MessageProxy

from bridge.transport.hooked_broker import HookedBroker


class Noisy(Middleware):
    def __init__(self, *errors: BaseException) -> None:
        self.errors, self.called = list(errors), 0

    def before_ack(self, broker: object, message: object) -> None:
        self.called += 1
        if self.errors:
            raise self.errors.pop()

    def before_process_message(self, broker: object, message: object) -> None:
        self.before_ack(broker, message)


def broker_with(*middleware: Middleware) -> HookedBroker:
    return HookedBroker(client=fakeredis.FakeStrictRedis(), middleware=list(middleware))


def test_only_hooks_that_are_defined_are_kept_and_a_new_middleware_is_found() -> None:
    first, second = Noisy(), Noisy()
    broker = broker_with(first, Middleware())
    broker.emit_before("ack", None)

    broker.add_middleware(second)
    broker.emit_before("ack", None)

    assert (first.called, second.called) == (2, 1)
    assert broker._find_hooks("before_nack") == []


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit("no")])
def test_a_hook_that_decides_nothing_ends_no_thread_and_keeps_no_other_from_its_turn(error: BaseException) -> None:
    second = Noisy()

    broker_with(Noisy(error), second).emit_before("ack", None)

    assert second.called == 1


def test_a_decision_before_a_message_is_processed_is_obeyed(caplog: pytest.LogCaptureFixture) -> None:
    message = MessageProxy(None)  # type: ignore[arg-type]
    with pytest.raises(SystemExit):
        broker_with(Noisy(SystemExit("stop"))).emit_before("process_message", message)

    broker_with(Noisy(ValueError("no"))).emit_before("process_message", message)
    assert "Unexpected failure in process_message" in caplog.text
