"""A subscription is renewed whenever its link breaks, and survives whatever its link raises."""

from collections.abc import Iterator

import pytest

from bridge.errors import RedisUnavailableError, StoreUnavailableError
from bridge.runtime import subscription
from bridge.runtime.subscription import Subscription
from tests.support.waiting import eventually


class BreakingSubscription(Subscription):
    """Takes one of `errors` for each try: raises it, or subscribes if it is None."""

    least_rest_seconds = most_rest_seconds = 0.001
    failed_text = "BreakingSubscription failed"

    def __init__(self, *errors: Exception | None) -> None:
        super().__init__("breaking")
        self._errors = list(errors)
        self.lost: list[tuple[str, bool]] = []

    def _receive(self) -> None:
        error = self._errors.pop(0)
        if error is not None:
            raise error
        self.subscribed.set()
        if not self._errors:
            self._stopping.wait()
            return
        raise RedisUnavailableError("cut")

    def _lost(self, error: StoreUnavailableError, *, is_new: bool) -> None:
        self.lost.append((str(error), is_new))


@pytest.fixture
def breaking() -> Iterator[BreakingSubscription]:
    errors = [RedisUnavailableError(text) for text in ("first", "second", "fourth")]
    one = BreakingSubscription(*errors[:2], None, errors[2], None)
    one.start()
    yield one
    one.close()


def test_a_broken_subscription_is_renewed_and_only_new_losses_are_reported(breaking: BreakingSubscription) -> None:
    eventually(breaking.subscribed.is_set)
    eventually(lambda: len(breaking.lost) == 4)

    assert breaking.lost == [("first", True), ("second", False), ("cut", True), ("fourth", False)]
    eventually(breaking.subscribed.is_set)


def test_an_unexpected_error_is_logged_and_does_not_end_the_subscription(caplog: pytest.LogCaptureFixture) -> None:
    one = BreakingSubscription(ValueError("no store's error"), None)

    one.start()
    eventually(one.subscribed.is_set)
    one.close()

    (record,) = caplog.records
    assert (record.getMessage(), record.exc_info is not None) == ("BreakingSubscription failed", True)


class ClosedWhileStopping(Subscription):
    """After it was asked to stop, its link raises the error of a closed link."""

    least_rest_seconds = most_rest_seconds = 0.001
    failed_text = "Closed failed"

    def _receive(self) -> None:
        self.subscribed.set()
        self._stopping.wait()
        raise ValueError("I/O operation on closed file.")

    def _lost(self, error: StoreUnavailableError, *, is_new: bool) -> None: ...


def test_a_link_closed_while_the_subscription_stops_is_not_an_error(caplog: pytest.LogCaptureFixture) -> None:
    one = ClosedWhileStopping("closed")
    one.start()
    eventually(one.subscribed.is_set)

    one.close()

    assert caplog.records == []


def test_a_loss_after_a_subscription_begins_with_the_shortest_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[int] = []

    def no_rest(attempt: int, cap_seconds: float) -> float:
        failures.append(attempt)
        return 0 * cap_seconds

    monkeypatch.setattr(subscription, "full_jitter", no_rest)
    one = BreakingSubscription(
        RedisUnavailableError("first"), RedisUnavailableError("second"), None, RedisUnavailableError("x"), None
    )

    one.start()
    eventually(lambda: len(one.lost) == 4)
    one.close()

    assert failures == [1, 2, 1, 2]
