"""Findings of `mobvibe doctor` about notifications and the database's encoding."""

from collections.abc import Callable
from typing import Any

import pytest

from bridge.cli import doctor


class NeverNotified:
    """A listener behind a pooler in transaction mode: its own notification never arrives."""

    error = None

    def __init__(self, dsn: str, channel: str, callback: Callable[[str], None]) -> None:
        self.subscribed = self

    def start(self) -> None: ...

    def wait(self, seconds: float) -> bool:
        return False

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("address", "fix"),
    [
        ("postgresql://u@h:6543/d", "port 6543 is a pooler in transaction mode: use the session pooler on port 5432"),
        ("postgresql://u@h:5432/d", "use a direct address or a pooler in session mode"),
    ],
)
def test_a_session_that_gets_no_notification_is_reported_as_a_pooler(
    monkeypatch: pytest.MonkeyPatch, address: str, fix: str
) -> None:
    monkeypatch.setattr(doctor, "Listener", NeverNotified)

    finding: Any = doctor._listen(address)

    assert (finding.state, finding.found) == ("warn", "notifications do not arrive")
    assert finding.fix.startswith(fix)


def test_a_database_whose_encoding_is_not_utf8_is_named() -> None:
    assert list(doctor._encoding("UTF8")) == []

    (finding,) = doctor._encoding("SQL_ASCII")

    assert (finding.state, finding.found) == ("warn", "the database's encoding is SQL_ASCII")
