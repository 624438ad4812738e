"""What an older schema lacks is answered for, and nothing else is."""

import pytest

from bridge.errors import PostgresUnavailableError
from bridge.postgres.link import Link
from bridge.postgres.older_schema import unless_missing
from tests.support.rows import Rows
from tests.support.steps import Steps


@pytest.mark.parametrize("gone", ["DROP TABLE queue_pauses", "ALTER TABLE queue_pauses DROP COLUMN reason"])
def test_what_the_database_lacks_is_answered_for(steps: Steps, rows: Rows, gone: str) -> None:
    assert unless_missing(lambda: steps.link.call("queue_pauses")) == []
    rows.all(gone)

    assert unless_missing(lambda: steps.link.call("queue_pauses")) is None


def test_other_errors_are_raised() -> None:
    nowhere = Link("postgresql://127.0.0.1:9/none", "test")

    with pytest.raises(PostgresUnavailableError):
        unless_missing(lambda: nowhere.call("queue_pauses"))
