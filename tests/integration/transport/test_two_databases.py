"""Two databases and one Redis: the second one in a namespace is refused, in one line, before it does harm."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bridge.errors import NamespaceTakenError
from tests.conftest import Servers, new_database
from tests.support.commands import mobvibe
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.waiting import eventually


@pytest.fixture
def other_dsn(servers: Servers, template_database: str) -> Iterator[str]:
    yield from new_database(servers, template_database)


@pytest.mark.parametrize("command", ["run", "worker"])
def test_processes_of_another_database_are_refused_and_the_first_ones_run_on(
    fleet: Fleet, rows: Rows, dsn: str, redis_url: str, other_dsn: str, tmp_path: Path, command: str
) -> None:
    (tmp_path / "topic.py").write_text("from bridge.broker import connect_broker\nconnect_broker()\n")
    with psycopg.connect(other_dsn, autocommit=True) as connection:
        theirs = Rows(connection).add_job(actor="double", queue="tests", payload={"n": 1})
        jobs = [rows.add_job(actor="double", queue="tests", payload={"n": n}) for n in range(20)]

        result = mobvibe(
            command, cwd=tmp_path, DATABASE_URL=other_dsn, REDIS_URL=redis_url, ACTORS_MODULE="topic", LOG_FORMAT="json"
        )

        names = [address.rpartition("/")[2] for address in (dsn, other_dsn)]
        lines = [line for line in result.err.splitlines() if "belongs to the database" in line]
        assert result.code == NamespaceTakenError.exit_code
        assert len(lines) == 1, result.err
        assert "Traceback" not in result.err
        for text in (
            "namespace 'mobvibe' belongs",
            f"'{names[0]}'",
            f"'{names[1]}'",
            "REDIS_NAMESPACE=",
            "DEL mobvibe:",
        ):
            assert text in lines[0]
        assert Rows(connection).status(theirs) == "pending"
    eventually(lambda: {rows.status(job) for job in jobs} == {"completed"})
