"""When the bridge indexes the words of jobs, and how much at a time."""

import logging

import pytest

from bridge.dispatch.job_index import JobIndexer
from bridge.dispatch.upkeep import Upkeep
from bridge.errors import PostgresBusyError
from tests.support.rows import Rows
from tests.support.steps import Steps

ENDED = (
    "INSERT INTO coding_jobs (status, prompt, completed_at)"
    " SELECT 'completed', 'blue', now() - n * interval '1 minute' FROM generate_series(1, %s) AS n"
)
INDEXED = "SELECT count(*) FROM job_search"


def test_batches_follow_until_all_are_indexed(steps: Steps, rows: Rows) -> None:
    rows.all(ENDED, [501])
    indexer = JobIndexer(steps.queue)

    assert indexer.step()
    assert rows.value(INDEXED) == 500
    assert not indexer.step()
    assert rows.value(INDEXED) == 501


def test_upkeep_goes_on_at_once_until_all_are_indexed(steps: Steps, rows: Rows) -> None:
    """Under traffic: see test_upkeep.py."""
    rows.all(ENDED, [1100])
    rows.all("SELECT fold_job_counts(10000)")
    upkeep = Upkeep(steps.queue, retention=None)

    assert [upkeep.step(), upkeep.step(), upkeep.step()] == [0.0, 0.0, 10.0]
    assert rows.value(INDEXED) == 1100


def test_a_host_that_allows_no_long_statement_gets_short_ones(steps: Steps, rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_jobs (status, prompt, completed_at)"
        " SELECT 'completed', (SELECT string_agg('w' || n * k, ' ') FROM generate_series(1, 1500) AS k),"
        "        now() - n * interval '1 minute' FROM generate_series(1, 600) AS n"
    )
    steps.link.connection.execute("SET statement_timeout = '150ms'")
    indexer = JobIndexer(steps.queue)
    refused = 0
    while rows.value(INDEXED) < 600:
        try:
            indexer.step()
        except PostgresBusyError:
            refused += 1
        assert refused < 15

    assert refused > 0


def test_the_older_schema_has_no_index_and_is_served(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    rows.all("ALTER FUNCTION index_jobs RENAME TO gone")
    try:
        assert not JobIndexer(steps.queue).step()
    finally:
        rows.all("ALTER FUNCTION gone RENAME TO index_jobs")

    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []
