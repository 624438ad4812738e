"""The rights that `mobvibe migrate grants` prints: in the docs, and enough."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
from pydantic import SecretStr

from bridge.postgres.migrations.grants import grants
from bridge.web.services import Services
from tests.support.commands import mobvibe
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.waiting import eventually


def test_the_grants_in_the_docs_are_those_that_are_printed() -> None:
    page = (Path(__file__).parents[4] / "docs" / "reference" / "database.md").read_text("utf-8")

    assert f"```sql\n{grants('bridge')}\n```" in page


def test_a_role_with_the_printed_grants_can_do_everything(
    stranger: str, rows: Rows, dsn: str, redis_url: str, new_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    rows.all(grants("stranger"))
    session = rows.add_session()
    job = rows.add_job(actor="narrate", queue="tests", payload={"n": 3}, session_id=session)
    failing = rows.add_job(actor="explode", queue="tests", max_retries=1)
    fleet = new_fleet(database_url=SecretStr(stranger), retention_days=1).start()
    try:
        eventually(lambda: rows.status(job) == "completed" and rows.status(failing) == "failed")
        environment = {"DATABASE_URL": stranger, "REDIS_URL": redis_url}
        for command in (
            ("status",), ("queues",), ("jobs", "list"), ("jobs", "show", str(job)), ("jobs", "retry", str(failing)),
            ("jobs", "send", "--actor", "double", "--payload", '{"n": 1}'), ("migrate", "status"),
        ):  # fmt: skip
            result = mobvibe(*command, cwd=tmp_path, **environment)
            assert result.code == 0, (command, result.err)
        waiting = rows.add_job(actor="nobody")
        assert mobvibe("jobs", "cancel", str(waiting), cwd=tmp_path, **environment).code == 0
        findings = json.loads(mobvibe("doctor", "--json", cwd=tmp_path, **environment).out)
        assert [one for one in findings if one["state"] == "fail"] == []
        assert set(Services(fleet.settings).readiness.get().checks.values()) == {"ok"}
    finally:
        fleet.stop()
    with psycopg.connect(stranger, autocommit=True) as connection:
        link = Rows(connection)
        link.all("SELECT recount_jobs()")
        link.all("SELECT prune_jobs('1 day', 10), prune_workers('1 day'), fold_job_counts(10)")
