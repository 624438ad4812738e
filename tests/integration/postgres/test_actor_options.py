"""An actor's own options: attempts, as Dramatiq counts its retries."""

from typing import Any

import psycopg
import pytest

from bridge import enqueue
from tests.support.rows import Rows


@pytest.mark.parametrize(
    ("options", "attempts"),
    [({"max_retries": 2}, 3), ({}, 21), ({"max_retries": 0}, 1), ({"max_retries": None}, 1_000_000)],
)
def test_a_plain_actors_retries_are_counted_as_dramatiq_does(
    connection: "psycopg.Connection[Any]", rows: Rows, options: dict[str, int | None], attempts: int
) -> None:
    class Plain:
        actor_name = "plain"
        queue_name = "default"

        def __init__(self) -> None:
            self.options = options

    job_id = enqueue(connection, Plain())
    connection.commit()

    assert rows.job(job_id)["max_retries"] == attempts
