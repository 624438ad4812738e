"""Rows about queues, as objects."""

from datetime import timedelta

import pytest

from bridge.postgres.queue_rows import hours_minutes_seconds


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (None, None),
        (timedelta(seconds=15.9), "00:00:15"),
        (timedelta(hours=1, minutes=2, seconds=3), "01:02:03"),
        (timedelta(days=5), "120:00:00"),
        (timedelta(seconds=-3), "00:00:00"),
    ],
)
def test_ages_are_written_in_hours_minutes_seconds(age: timedelta | None, text: str | None) -> None:
    assert hours_minutes_seconds(age) == text
