"""The role of `deploy/mobvibe_bridge.sql` has what is used and no more, as `mobvibe migrate grants` prints it."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from bridge.broker import connect_broker
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from bridge.postgres.migrations.grants import grants
from bridge.sessions import Usage
from bridge.settings import Settings
from bridge.web.services import Services
from bridge.web.tokens import make_token
from tests.integration.postgres.conftest import as_role
from tests.support.commands import mobvibe
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.turns import TurnSteps, close_records, said
from tests.support.used_rights import UsedRights
from tests.support.waiting import eventually
from tests.support.web import SECRET, client_of

ROOT = Path(__file__).parents[4]
ROLE = "mobvibe_bridge"
FOR_ALL = {"mobvibe_database_id"}  # which everybody may call
OF_THE_VERSION_BEFORE = {"prune_jobs"}


@pytest.fixture
def bridge_dsn(dsn: str, rows: Rows) -> Iterator[str]:
    """The address of the role, made twice as after an upgrade."""
    text = (ROOT / "deploy" / "mobvibe_bridge.sql").read_text("utf-8")
    rows.all("CREATE TABLE projects (id uuid PRIMARY KEY, user_id uuid, plan text)")
    rows.all(text)
    rows.all(text)
    rows.all(f"ALTER ROLE {ROLE} PASSWORD 'secret'")
    yield as_role(dsn, ROLE)
    rows.all(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def test_the_grants_in_the_docs_and_in_the_file_are_those_that_are_printed() -> None:
    page = (ROOT / "docs" / "reference" / "database.md").read_text("utf-8")

    assert f"```sql\n{grants('bridge')}\n```" in page
    assert (ROOT / "deploy" / "mobvibe_bridge.sql").read_text("utf-8").endswith(f"\n{grants(ROLE)}\n")


def test_the_role_has_the_rights_that_are_used_and_no_others(bridge_dsn: str, rows: Rows) -> None:
    granted: dict[str, set[str]] = defaultdict(set)
    for row in rows.all(
        "SELECT c.relname, a.privilege_type AS granted FROM pg_class c, aclexplode(c.relacl) a"
        f" WHERE a.grantee = '{ROLE}'::regrole"
    ):
        granted[row["relname"]].add(row["granted"])
    functions = {
        row["proname"]
        for row in rows.all(
            f"SELECT p.proname FROM pg_proc p, aclexplode(p.proacl) a WHERE a.grantee = '{ROLE}'::regrole"
        )
    }
    rows.all("SET search_path = ''")  # the catalog then writes all names in full
    used = UsedRights(rows)
    assert used.relations.pop("projects") == {"SELECT"}

    assert dict(granted) == dict(used.relations)
    assert functions == used.functions - FOR_ALL | OF_THE_VERSION_BEFORE


def test_the_role_is_nothing_but_a_login(bridge_dsn: str, rows: Rows) -> None:
    role = rows.one("SELECT * FROM pg_roles WHERE rolname = %s", [ROLE])

    assert {name for name, value in role.items() if value is True} == {"rolcanlogin", "rolbypassrls"}
    assert rows.all("SELECT FROM pg_auth_members WHERE member = %s::regrole", [ROLE]) == []
    assert rows.all("SELECT FROM pg_shdepend WHERE refobjid = %s::regrole AND deptype = 'o'", [ROLE]) == []
    columns = "SELECT a.attname FROM pg_attribute a, aclexplode(a.attacl) x WHERE x.grantee = %s::regrole"
    assert {row["attname"] for row in rows.all(columns, [ROLE])} == {"id", "user_id"}, "of projects"
    assert rows.value("SELECT has_schema_privilege(%s, 'public', 'CREATE')", [ROLE]) is False


@pytest.mark.parametrize("role", ["a$$b", 'a$grants$b"$grants1$', "$$; x; $$"])
def test_dollars_in_the_name_of_a_role_end_no_block(rows: Rows, role: str) -> None:
    quoted = '"' + role.replace('"', '""') + '"'
    rows.all("CREATE TABLE projects (id uuid PRIMARY KEY, user_id uuid, plan text)")
    rows.all(f"CREATE ROLE {quoted}")
    try:
        rows.all(grants(role))

        assert rows.value("SELECT has_column_privilege(%s::name, 'projects', 'user_id', 'SELECT')", [role])
    finally:
        rows.all(f"DROP OWNED BY {quoted}; DROP ROLE {quoted}")


def test_bridge_worker_pages_and_commands_run_as_the_role(
    bridge_dsn: str, rows: Rows, redis_url: str, new_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    session = rows.add_session()
    job = rows.add_job(actor="narrate", queue="tests", payload={"n": 3}, session_id=session)
    failing = rows.add_job(actor="explode", queue="tests", max_retries=1)
    fleet = new_fleet(database_url=SecretStr(bridge_dsn), retention_days=1).start()
    try:
        eventually(lambda: rows.status(job) == "completed" and rows.status(failing) == "failed")
        environment = {"DATABASE_URL": bridge_dsn, "REDIS_URL": redis_url}
        for command in (
            ("status",), ("queues",), ("jobs", "list"), ("jobs", "show", str(job)), ("jobs", "retry", str(failing)),
            ("jobs", "send", "--actor", "double", "--payload", '{"n": 1}'), ("migrate", "status"),
            ("jobs", "replay", str(job)), ("jobs", "retry", "--matching", "status:failed", "--yes"),
            ("queues", "pause", "tests"), ("queues", "resume", "tests"),
        ):  # fmt: skip
            result = mobvibe(*command, cwd=tmp_path, **environment)
            assert result.code == 0, (command, result.err)
        waiting = rows.add_job(actor="nobody")
        assert mobvibe("jobs", "cancel", str(waiting), cwd=tmp_path, **environment).code == 0
        findings = json.loads(mobvibe("doctor", "--json", cwd=tmp_path, **environment).out)
        assert [one for one in findings if one["state"] == "fail"] == []
        assert set(Services(fleet.settings).readiness.get().checks.values()) == {"ok"}
        client = client_of(fleet.settings)
        paths = ["/", "/jobs", "/jobs?q=boom", f"/jobs/{job}", "/queues", "/workers", "/dead", "/settings", "/sessions"]
        for path in (*paths, f"/sessions/{session}", "/stats", "/metrics", "/api/history"):
            assert client.get(path).status_code == 200, path
        client.application.extensions["mobvibe"].pool.close()
    finally:
        fleet.stop()


def test_upkeep_and_a_slow_backlog_run_as_the_role(bridge_dsn: str, rows: Rows) -> None:
    rows.add_job()
    link = Link(bridge_dsn, "test")
    queue = JobQueue(link)

    assert queue.latest_seq() == 1
    assert queue.prune_jobs(timedelta(days=1), limit=10).pruned == 0
    link.call("prune_idempotency_keys", {"limit": 10})
    link.close()


def test_a_session_is_started_and_held_as_the_role(bridge_dsn: str, rows: Rows, settings: Settings) -> None:
    user, project = uuid4(), uuid4()
    rows.all("INSERT INTO projects VALUES (%s, %s, 'pro')", [project, user])
    ours = settings.model_copy(update={"database_url": SecretStr(bridge_dsn)})
    client = client_of(ours)
    token = make_token(user, SECRET, timedelta(minutes=5))
    answer = client.post(
        "/functions/v1/start-coding-session",
        json={"projectId": str(project), "prompt": "an app, please"},
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "one"},
    )
    assert answer.status_code == 201, answer.text
    session = answer.get_json()["data"]["sessionId"]

    steps = Steps(bridge_dsn, rows)
    broker = connect_broker(ours)
    turns = TurnSteps(steps, rows)
    record = turns.open(turns.add_session())
    record.add_message(said("assistant", "a moment"))
    record.start_call("a", "bash", {})
    record.finish_call("a", {})
    record.set_progress(0.5)
    assert record.reserve(1.0) is None
    record.spend(Usage("m", 10, 20, cost_usd=0.25))
    assert record.take_prompts() == []
    record.ask("b", "Which one?", ("x", "y"))
    assert client.get(f"/sessions/{session}").status_code == 200
    broker.close()
    close_records()
    steps.close()
    client.application.extensions["mobvibe"].pool.close()
