"""Times and durations as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.web.template_filters import ago, duration, lasted

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0004, "0 ms"), (0.34, "340 ms"), (1, "1 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (200_000, "2 d")],
)
def test_a_duration_is_shown_in_its_largest_unit(seconds: float, text: str) -> None:
    assert lasted(timedelta(seconds=seconds)) == text


def test_a_time_is_relative_and_carries_the_exact_one() -> None:
    exact = "2026-01-02T11:57:00.000Z"

    assert ago(NOW - timedelta(minutes=3), NOW) == f'<time datetime="{exact}" title="{exact}">3 min ago</time>'
    assert "in 3 min" in ago(NOW + timedelta(minutes=3), NOW)
    assert ago(None) == ""


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "\N{EN DASH}"), (0.34, "340 ms"), (1.0, "1.0 s"), (9.94, "9.9 s"), (59.9, "59 s"), (7200, "2 h")],
)
def test_a_short_duration_is_more_precise(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown
