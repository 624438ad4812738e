"""What Postgres says of rows that it cannot change: each is told once, whoever hears it."""

from collections.abc import Iterator

import pytest

from bridge.postgres import refused_rows
from bridge.postgres.refused_rows import heard


@pytest.fixture(autouse=True)
def _nothing_told() -> Iterator[None]:
    refused_rows._told.clear()
    yield
    refused_rows._told.clear()


def test_a_job_is_told_once_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    for reason in ("it is closed", "it is closed", "it is locked"):
        heard(f"mobvibe: job 7 cannot be claimed: {reason}")

    assert [(record.message, record.__dict__["jobId"], record.__dict__["reason"]) for record in caplog.records] == [
        ("Job cannot be claimed: Postgres refuses to change its row", "7", "it is closed"),
        ("Job cannot be claimed: Postgres refuses to change its row", "7", "it is locked"),
    ]


@pytest.mark.parametrize("message", [None, "", "table does not exist, skipping", "mobvibe: something else"])
def test_other_notices_are_not_told(caplog: pytest.LogCaptureFixture, message: str | None) -> None:
    heard(message)

    assert caplog.records == []


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_rows, "_KEPT_MOST", 10)

    for number in range(25):
        heard(f"mobvibe: job {number} cannot be claimed: why")

    assert len(refused_rows._told) == 5
