"""Who guesses passwords waits, longer each time; others do not."""

from bridge.web.access.failed_logins import (
    FIRST_WAIT_SECONDS,
    FREE_FAILURES,
    LONGEST_WAIT_SECONDS,
    FailedLogins,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_wait_begins_after_some_failures_and_doubles() -> None:
    clock = Clock()
    failed_logins = FailedLogins(clock)

    for _ in range(FREE_FAILURES - 1):
        failed_logins.failed("a")
    assert failed_logins.wait_seconds("a") == 0

    failed_logins.failed("a")
    assert failed_logins.wait_seconds("a") == FIRST_WAIT_SECONDS
    assert failed_logins.wait_seconds("b") == 0
    clock.now += FIRST_WAIT_SECONDS
    assert failed_logins.wait_seconds("a") == 0

    failed_logins.failed("a")
    assert failed_logins.wait_seconds("a") == 2 * FIRST_WAIT_SECONDS
    for _ in range(100):
        failed_logins.failed("a")
    assert failed_logins.wait_seconds("a") == LONGEST_WAIT_SECONDS


def test_a_login_forgets_the_failures() -> None:
    failed_logins = FailedLogins(Clock())
    for _ in range(FREE_FAILURES):
        failed_logins.failed("a")

    failed_logins.succeeded("a")
    failed_logins.failed("a")

    assert failed_logins.wait_seconds("a") == 0


def test_it_remembers_a_bounded_number_of_addresses() -> None:
    failed_logins = FailedLogins(Clock())
    for _ in range(FREE_FAILURES):
        failed_logins.failed("first")
    for number in range(10_000):
        failed_logins.failed(f"{number}")

    assert failed_logins.wait_seconds("first") == 0
