"""Who guesses passwords waits, longer each time; others do not.

Rows of docs/reference/security.md: S15.
"""

from bridge.web.access.failed_logins import (
    FIRST_WAIT_SECONDS,
    FORGOTTEN_SECONDS,
    FREE_FAILURES,
    LONGEST_WAIT_SECONDS,
    FailedLogins,
    guesser,
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


def test_failures_of_an_hour_ago_count_no_more() -> None:
    clock = Clock()
    failed_logins = FailedLogins(clock)
    for _ in range(FREE_FAILURES - 1):
        failed_logins.failed("a")
    clock.now += FORGOTTEN_SECONDS + 1
    failed_logins.failed("a")
    assert failed_logins.wait_seconds("a") == 0

    for _ in range(FREE_FAILURES - 1):
        failed_logins.failed("a")
    assert failed_logins.wait_seconds("a") > 0


def test_names_of_an_address_and_known_browsers_are_counted_apart_in_bounded_number() -> None:
    assert guesser("a", "admin", None) != guesser("b", "admin", None)
    assert guesser("a", "admin", None) != guesser("a", "root", None)
    assert guesser("a", "admin", None) != guesser("a", "admin", "reader") != guesser("a", "admin", "admin")
    assert guesser("a", "admin", "admin") != guesser("b", "admin", "admin")
    assert len({guesser("a", f"{number}", None) for number in range(10_000)}) <= 16


def test_it_remembers_a_bounded_number_of_addresses() -> None:
    failed_logins = FailedLogins(Clock())
    for _ in range(FREE_FAILURES):
        failed_logins.failed("first")
    for number in range(10_000):
        failed_logins.failed(f"{number}")

    assert failed_logins.wait_seconds("first") == 0
