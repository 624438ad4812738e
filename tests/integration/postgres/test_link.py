"""A link is replaced when it cannot be used."""

from datetime import timedelta

import pytest

from bridge.errors import PostgresUnavailableError
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link


def test_a_link_that_opened_while_the_database_was_read_only_is_replaced(link: Link) -> None:
    link.connection.execute("SET default_transaction_read_only = on")
    queue = JobQueue(link)
    with pytest.raises(PostgresUnavailableError, match="read-only"):
        queue.prune_workers(timedelta(days=7))

    queue.prune_workers(timedelta(days=7))
