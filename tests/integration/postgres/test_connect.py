"""A connection sets what it relies on, whatever a host has set."""

import psycopg

from bridge.job import Status
from bridge.postgres.connect import connect
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually


def test_a_connection_sets_the_formats_it_relies_on(dsn: str, rows: Rows) -> None:
    name = dsn.rpartition("/")[2]
    theirs = {
        "DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard", "TimeZone": "America/St_Johns",
        "client_encoding": "LATIN1", "standard_conforming_strings": "off",
    }  # fmt: skip
    for setting, value in theirs.items():
        rows.all(f"ALTER DATABASE {name} SET {setting} = '{value}'")

    with connect(dsn, "test") as connection:
        ours = {setting: connection.info.parameter_status(setting) for setting in theirs}

    assert ours == {
        "DateStyle": "ISO, DMY", "IntervalStyle": "postgres", "TimeZone": "UTC", "client_encoding": "UTF8",
        "standard_conforming_strings": "on",
    }  # fmt: skip


def test_jobs_end_in_a_database_with_array_nulls_off(dsn: str, rows: Rows) -> None:
    rows.all(f"ALTER DATABASE {dsn.rpartition('/')[2]} SET array_nulls = off")
    job_id = rows.add_job(max_retries=2)
    steps = Steps(dsn, rows)
    try:
        assert steps.fail(steps.started()) is Status.PENDING
        steps.make_due(job_id)
        assert steps.release(steps.started())
    finally:
        steps.close()


def test_a_job_changed_meanwhile_causes_no_serialization_failure(dsn: str, rows: Rows) -> None:
    rows.all(f"ALTER DATABASE {dsn.rpartition('/')[2]} SET default_transaction_isolation = 'serializable'")
    with connect(dsn, "test") as connection, connection.transaction():
        connection.execute("SELECT count(*) FROM coding_jobs")
        job_id = rows.add_job()
        rows.all("UPDATE coding_jobs SET prompt = 'new' WHERE id = %s", [job_id])

        assert connection.execute("UPDATE coding_jobs SET prompt = 'newer' WHERE id = %s", [job_id]).rowcount == 1


def test_an_idle_connection_survives_a_hosts_idle_session_timeout(dsn: str, rows: Rows) -> None:
    rows.all(f"ALTER DATABASE {dsn.rpartition('/')[2]} SET idle_session_timeout = '200ms'")
    with connect(dsn, "test") as ours, psycopg.connect(dsn, autocommit=True) as theirs:

        def is_ended() -> bool:
            return not rows.all("SELECT FROM pg_stat_activity WHERE pid = %s", [theirs.info.backend_pid])

        eventually(is_ended)
        assert ours.execute("SELECT 1 AS one").fetchone() == {"one": 1}
