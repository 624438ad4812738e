"""Postgres accepts every statement that is sent."""

import re
from pathlib import Path

import pytest

import bridge
from bridge.postgres.calls import calls
from bridge.postgres.statements import statements
from tests.support.rows import Rows

QUERIES = Path(bridge.__file__).parent / "sql" / "queries"


def numbered(text: str) -> str:
    """The text with $1, $2, … instead of the driver's placeholders."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    for number, name in enumerate(names, 1):
        text = text.replace(f"%({name})s", f"${number}")
    return text.replace("%%", "%")


@pytest.mark.parametrize("name", sorted(statements()))
def test_each_text_is_one_statement_that_postgres_accepts(rows: Rows, name: str) -> None:
    rows.all("CREATE TABLE projects (id uuid, user_id uuid)")  # a MobVibe database has it

    if name == "vacuum_job_notifications":  # Postgres prepares no VACUUM
        rows.connection.execute(statements()[name])
        return
    rows.connection.execute(f"PREPARE this AS {numbered(statements()[name])}".encode(), prepare=False)
    rows.connection.execute("DEALLOCATE this")


def test_no_name_is_given_twice() -> None:
    named = [
        name for file in QUERIES.iterdir() for name in re.findall(r"^-- name: (.*)$", file.read_text(), re.MULTILINE)
    ]

    assert sorted([*named, *calls()]) == sorted(statements())


@pytest.mark.parametrize("name", sorted(statements()))
def test_each_statement_is_used(name: str) -> None:
    code = [file for file in QUERIES.parents[1].rglob("*.py") if file.name != "calls.py"]

    assert any(f'"{name}"' in file.read_text() for file in code)
