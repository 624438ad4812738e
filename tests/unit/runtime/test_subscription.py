"""A subscription begins again whenever its link breaks, and outlives what its link raises."""

from collections.abc import Iterator

import pytest

from bridge.errors import RedisUnavailableError, StoreUnavailableError
from bridge.runtime import subscription
from bridge.runtime.subscription import Subscription
from tests.support.waiting import eventually


class Broken(Subscription):
    """Subscribes when its turn comes in `errors` (None), and raises the others."""

    least_rest_seconds = most_rest_seconds = 0.001
    failed_text = "Broken failed"

    def __init__(self, *errors: Exception | None) -> None:
        super().__init__("broken")
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
def broken() -> Iterator[Broken]:
    errors = [RedisUnavailableError(text) for text in ("first", "second", "fourth")]
    one = Broken(*errors[:2], None, errors[2], None)
    one.start()
    yield one
    one.close()


def test_it_subscribes_again_and_says_which_losses_are_new(broken: Broken) -> None:
    eventually(broken.subscribed.is_set)
    eventually(lambda: len(broken.lost) == 4)

    assert broken.lost == [("first", True), ("second", False), ("cut", True), ("fourth", False)]
    eventually(broken.subscribed.is_set)


def test_anything_unexpected_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    one = Broken(ValueError("no store's error"), None)

    one.start()
    eventually(one.subscribed.is_set)
    one.close()

    (record,) = caplog.records
    assert (record.getMessage(), record.exc_info is not None) == ("Broken failed", True)


class ClosedUnderIt(Subscription):
    """Its link raises what a closed one does, once it was asked to stop."""

    least_rest_seconds = most_rest_seconds = 0.001
    failed_text = "Closed failed"

    def _receive(self) -> None:
        self.subscribed.set()
        self._stopping.wait()
        raise ValueError("I/O operation on closed file.")

    def _lost(self, error: StoreUnavailableError, *, is_new: bool) -> None: ...


def test_a_link_closed_under_it_while_it_stops_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    one = ClosedUnderIt("closed")
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
    one = Broken(
        RedisUnavailableError("first"), RedisUnavailableError("second"), None, RedisUnavailableError("x"), None
    )

    one.start()
    eventually(lambda: len(one.lost) == 4)
    one.close()

    assert failures == [1, 2, 1, 2]
