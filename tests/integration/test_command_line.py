"""The command line over real stores: data on stdout, talk on stderr, one line and the right code for mistakes."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import redis

from bridge.bridge_process import BridgeProcess
from bridge.errors import RedisUnavailableError
from bridge.migrations.files import migration_files
from bridge.settings import Settings
from bridge.transport.client import check_redis, connect_redis
from bridge.worker.actors_package import import_trouble
from tests.support.commands import Said, mobvibe
from tests.support.hands import Hands
from tests.support.rows import Rows

FILES = len(migration_files())
Run = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path, dsn: str, redis_url: str) -> Run:
    def run(*args: str, **environment: str) -> Said:
        return mobvibe(*args, cwd=tmp_path, **({"DATABASE_URL": dsn, "REDIS_URL": redis_url} | environment))

    return run


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_help_and_version_need_nothing(tmp_path: Path) -> None:
    help_ = mobvibe("--help", cwd=tmp_path)
    assert help_.code == 0
    for command in (
        "up",
        "run",
        "worker",
        "web",
        "migrate",
        "jobs",
        "queues",
        "status",
        "doctor",
        "healthcheck",
        "config",
    ):
        assert f"\n  {command} " in help_.out
    assert mobvibe("--version", cwd=tmp_path).out.startswith("mobvibe, version ")


@pytest.mark.parametrize("command", [("run",), ("worker",), ("web",), ("migrate", "up"), ("jobs", "list"), ("status",)])
def test_a_missing_address_is_one_line_and_exit_code_1(tmp_path: Path, command: tuple[str, ...]) -> None:
    said = mobvibe(*command, cwd=tmp_path)

    assert said.code == 1
    assert said.one_line().startswith("mobvibe: DATABASE_URL is missing: set it in the environment or in .env")
    assert "REDIS_URL is missing, too" in said.one_line()
    assert said.out == ""


def test_a_missing_redis_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    said = mobvibe("run", cwd=tmp_path, DATABASE_URL="postgresql://u@h/d")

    assert (said.code, said.one_line()[:31]) == (1, "mobvibe: REDIS_URL is missing: ")


def test_a_malformed_setting_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    said = mobvibe("run", cwd=tmp_path, DATABASE_URL="postgresql://u:gehe@im@h/d", POLL_INTERVAL_MS="x")

    assert said.code == 1
    assert "DATABASE_URL cannot be read" in said.one_line()
    assert "POLL_INTERVAL_MS must be a whole number" in said.one_line()
    assert "gehe" not in said.err


@pytest.mark.parametrize(
    ("query", "message"),
    [("schema=public", "DATABASE_URL has the option 'schema'"), ("connect_timeout=x", "connect_timeout")],
)
def test_an_option_that_postgres_does_not_know_is_one_line(tmp_path: Path, query: str, message: str) -> None:
    said = mobvibe("status", cwd=tmp_path, DATABASE_URL=f"postgresql://u:geheim@127.0.0.1:9/d?{query}")

    assert (said.code, message in said.one_line(), "geheim" in said.err) == (1, True, False)


@pytest.mark.parametrize("host", ["a" * 70, "a b", "a..b"])
def test_a_host_that_cannot_be_is_one_line(run: Run, host: str) -> None:
    serving = run("web", BIND_HOST=host, SUPABASE_JWT_SECRET="s" * 40)
    assert (serving.code, serving.one_line()) == (1, f"mobvibe: BIND_HOST {host} is no address of this machine.")

    asking = run("healthcheck", BIND_HOST=host)
    assert (asking.code, asking.one_line()[:33]) == (1, "mobvibe: nobody answers at http:/")


@pytest.mark.parametrize(
    "words", ["jobs list", "jobs show", "status", "queues", "doctor", "doctor --database", "migrate status"]
)
def test_commands_read_a_database_that_a_host_has_set_otherwise(run: Run, dsn: str, rows: Rows, words: str) -> None:
    job_id = rows.add_job(prompt="grüße", run_at="2999-01-01")
    name = urlsplit(dsn).path[1:]
    for setting in (
        "DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "TimeZone = 'America/St_Johns'",
        "client_encoding = 'LATIN1'", "standard_conforming_strings = off", "search_path = nowhere",
        "array_nulls = off", "default_transaction_isolation = serializable",
    ):  # fmt: skip
        rows.all(f"ALTER DATABASE {name} SET {setting}")

    said = run(*words.split(), *([str(job_id)] if "show" in words else []))

    assert said.code == (1 if words == "doctor" else 0), said.out + said.err  # it misses workers
    assert "Traceback" not in said.err
    assert words != "jobs show" or "2999-01-01" in said.out


def test_a_redis_that_drops_messages_is_warned_of_at_the_start(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis.from_url(settings.redis_address()) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            BridgeProcess(settings).check()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert [record.getMessage() for record in caplog.records] == [
        "Redis drops messages when its memory is full: maxmemory-policy is allkeys-lru, set it to noeviction"
    ]
    caplog.clear()

    BridgeProcess(settings).check()

    assert not caplog.records


def test_a_redis_address_that_leads_to_postgres_is_asked_about(dsn: str) -> None:
    client = connect_redis(f"redis://{urlsplit(dsn).hostname}:{urlsplit(dsn).port}/0")

    with pytest.raises(RedisUnavailableError, match=r"Is it Redis, and does it want TLS \(rediss://\)\?"):
        check_redis(client)
    client.close()


def test_an_unreachable_postgres_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    said = mobvibe("status", cwd=tmp_path, DATABASE_URL="postgresql://u:geheim@127.0.0.1:9/d")

    assert said.code == 3
    assert "refused" in said.one_line()
    assert "geheim" not in said.err


def test_an_unmigrated_database_is_one_line_and_exit_code_4(tmp_path: Path, empty_dsn: str, redis_url: str) -> None:
    said = mobvibe("run", cwd=tmp_path, DATABASE_URL=empty_dsn, REDIS_URL=redis_url)

    assert (said.code, said.one_line()) == (
        4,
        "mobvibe: The database is not set up for the bridge. Run: mobvibe migrate up",
    )


def test_a_newer_schema_is_one_line_and_exit_code_4(run: Run, rows: Rows) -> None:
    rows.all("CREATE OR REPLACE FUNCTION mobvibe_schema_version() RETURNS integer LANGUAGE sql AS 'SELECT 999'")

    said = run("run")

    assert said.code == 4
    assert "schema 999, newer than this version knows" in said.one_line()


def test_a_taken_port_is_one_line_and_exit_code_1(run: Run, taken_port: int) -> None:
    said = run("web", HEALTH_CHECK_PORT=str(taken_port), SUPABASE_JWT_SECRET="s" * 40)

    assert said.code == 1
    assert said.one_line() == (
        f"mobvibe: Cannot listen on 127.0.0.1:{taken_port}: Address already in use. "
        "Set HEALTH_CHECK_PORT to a free port."
    )


def test_an_actors_package_that_is_not_there_is_said_once(run: Run) -> None:
    said = run("worker", ACTORS_MODULE="nowhere", LOG_FORMAT="json")

    assert said.code == 2
    assert said.err.strip().splitlines()[-1] == (
        "mobvibe: The actors package 'nowhere' cannot be imported (ModuleNotFoundError: No module named 'nowhere'). "
        "Run from the folder that holds it, or set ACTORS_MODULE."
    )


def test_a_probable_typing_error_is_pointed_out(run: Run, empty_dsn: str) -> None:
    said = run("run", DATABASE_URL=empty_dsn, POLL_INTERVAL_SEC="5")

    assert "POLL_INTERVAL_SEC is no setting; did you mean POLL_INTERVAL_MS?" in said.err


def test_a_variable_of_the_node_worker_that_nothing_reads_is_said(run: Run, empty_dsn: str) -> None:
    said = run("run", DATABASE_URL=empty_dsn, JOB_TIMEOUT_MS="60000")
    assert "JOB_TIMEOUT_MS is not read here: a time limit is its actor's" in said.err

    assert "JOB_TIMEOUT_MS is not read here" in run("doctor", JOB_TIMEOUT_MS="60000").out


def test_embedded_stores_refuse_production(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("bridge: true\n")

    said = mobvibe("up", cwd=tmp_path, NODE_ENV="production")

    assert said.code == 1
    assert said.one_line().startswith("mobvibe: mobvibe up is for development and NODE_ENV is production.")
    assert not (tmp_path / ".mobvibe").exists()


def test_migrations_are_applied_and_told(tmp_path: Path, empty_dsn: str) -> None:
    environment = {"DATABASE_URL": empty_dsn}
    missing = mobvibe("migrate", "status", cwd=tmp_path, **environment)
    assert (missing.code, missing.out.count("missing")) == (4, FILES)

    up = mobvibe("migrate", "up", cwd=tmp_path, **environment)
    assert (up.code, len(up.out.splitlines()), up.err) == (0, FILES, f"{FILES} applied\n")

    again = mobvibe("migrate", "up", cwd=tmp_path, **environment)
    assert (again.out, again.err) == ("", "Nothing to apply\n")
    states = json.loads(mobvibe("migrate", "status", "--json", cwd=tmp_path, **environment).out)
    assert all(state["applied"] for state in states)


def test_migrations_can_be_printed_without_a_database(tmp_path: Path) -> None:
    first, second = (mobvibe("migrate", "sql", cwd=tmp_path) for _ in range(2))

    assert first.code == 0
    assert first.out == second.out
    assert first.out.startswith("-- 0001_sessions.sql")
    assert "CREATE OR REPLACE FUNCTION public.claim_next_job()" in first.out


def test_a_job_can_be_sent_shown_cancelled_and_retried(run: Run, rows: Rows, hands: Hands) -> None:
    sent = run("jobs", "send", "add a login page", "--priority", "10")
    job_id = UUID(sent.out.strip())
    job = rows.job(job_id)
    assert (job["prompt"], job["priority"], job["actor"]) == ("add a login page", 10, "run_coding_session")
    assert rows.session(job["session_id"])["status"] == "pending"

    shown = json.loads(run("jobs", "show", str(job_id), "--json").out)
    assert (shown["status"], shown["attempts"]) == ("pending", [])
    hands.add_worker()
    hands.release(hands.started())
    assert "released" in run("jobs", "show", str(job_id)).out

    assert run("jobs", "cancel", str(job_id), "--reason", "test").out == f"{job_id} is cancelled\n"
    assert run("jobs", "cancel", str(job_id)).out == f"{job_id} is cancelled\n"
    assert run("jobs", "retry", str(job_id)).out == f"{job_id} will run\n"
    assert [row["action"] for row in rows.all("SELECT action FROM job_audit ORDER BY id")] == ["cancel", "retry"]


def test_a_job_whose_payload_python_cannot_read_is_one_line(run: Run, rows: Rows) -> None:
    job_id = rows.value("INSERT INTO coding_jobs (payload) VALUES ('{\"n\": 1e5000}') RETURNING id")

    said = run("jobs", "show", str(job_id))

    assert said.code == 1
    assert said.one_line().startswith(f"mobvibe: Job {job_id} holds JSON that cannot be read here: ")


def test_jobs_of_any_actor_can_be_sent(run: Run, rows: Rows) -> None:
    said = run(
        "jobs", "send", "--actor", "build_report", "--payload", '{"rows": 7}', "--max-retries", "5",
        "--run-at", "2030-01-31T08:00:00+0100",
    )  # fmt: skip

    job = rows.job(UUID(said.out.strip()))
    assert (job["actor"], job["payload"], job["max_retries"]) == ("build_report", {"rows": 7}, 5)
    assert job["run_at"].isoformat().startswith("2030-01-31T07:00:00")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("jobs", "send", "--payload", "{"), "is no JSON"),
        (("jobs", "send", "--payload", "[]"), "must be a JSON object"),
        (("jobs", "send", "--payload", "[" * 100_000), "is no JSON"),
        (("jobs", "send", "--payload", '{"n": ' + "9" * 5000 + "}"), "is no JSON"),
        (("jobs", "send", "--actor", ""), "must be a name of 1 to 200 characters"),
        (("jobs", "send", "--actor", "a" * 201), "must be a name of 1 to 200 characters"),
        (("jobs", "send", "--actor", "a\udcff"), "is not UTF-8 text"),
        (("jobs", "send", "a prompt \udcff"), "is not UTF-8 text"),
        (("jobs", "send", "--max-retries", "99999999999"), "is not in the range"),
        (("jobs", "list", "--actor", "\udcff"), "is not UTF-8 text"),
        (("jobs", "cancel", str(uuid4()), "--reason", "\udcff"), "is not UTF-8 text"),
        (("healthcheck", "--timeout", "-1"), "is not in the range"),
        (("jobs", "show", "7"), "not a valid UUID"),
        (("jobs", "list", "--status", "lost"), "is not one of"),
        (("jobs",), "Usage:"),
        (("nonsense",), "No such command"),
    ],
)
def test_bad_usage_is_explained_with_exit_code_2(run: Run, args: tuple[str, ...], message: str) -> None:
    said = run(*args)

    assert said.code == 2
    assert message in said.err + said.out
    assert "Traceback" not in said.err


def test_a_job_that_does_not_exist_is_said_with_exit_code_1(run: Run) -> None:
    job_id = str(uuid4())

    shown = run("jobs", "show", job_id)
    assert (shown.code, shown.one_line()) == (1, f"mobvibe: There is no job {job_id}")
    cancelled = run("jobs", "cancel", job_id)
    assert (cancelled.code, cancelled.out) == (1, f"{job_id} does not exist\n")


def test_jobs_are_listed_and_counted(run: Run, rows: Rows) -> None:
    assert run("jobs", "list").err == "No such jobs.\n"
    rows.add_job(queue="reports", actor="x")
    rows.add_job(status="failed", error_message="boom")

    assert len(json.loads(run("jobs", "list", "--json").out)) == 2
    assert "boom" in run("jobs", "list", "--status", "failed").out
    assert [row["queue"] for row in json.loads(run("queues", "--json").out)] == ["reports"]
    status = json.loads(run("status", "--json").out)
    assert (status["pending"], status["failed"], status["workers"]) == (1, 1, 0)
    assert "pending               1" in run("status").out


def test_settings_are_shown_without_their_secrets(run: Run) -> None:
    said = run("config", SUPABASE_SERVICE_ROLE_KEY="geheim", DATABASE_URL="postgresql://u:geheim@h:5432/d")

    assert said.code == 0
    assert "postgresql://u:***@h:5432/d" in said.out
    assert "geheim" not in said.out
    assert "POLL_INTERVAL_MS" in said.out
    assert json.loads(run("config", "--json").out)["LOG_LEVEL"] == "info"


def test_the_doctor_finds_nothing_wrong_where_nothing_is(run: Run, hands: Hands) -> None:
    hands.add_worker(slots=4)

    said = run("doctor")

    assert said.code == 0, said.out
    assert "FAIL" not in said.out
    for text in ("Postgres ", "up to date", "notifications arrive", "1 alive, 4 slots", "noeviction", "clocks"):
        assert text in said.out


def test_the_doctor_names_what_is_wrong_and_the_fix(run: Run, rows: Rows) -> None:
    rows.add_job(actor="nobody")

    findings = {finding["check"]: finding for finding in json.loads(run("doctor", "--json").out)}

    assert (findings["workers"]["state"], findings["workers"]["fix"]) == (
        "fail",
        "start one: mobvibe worker",
    )
    assert findings["jobs"]["state"] == "warn"


def test_the_doctor_goes_on_where_a_store_is_away(run: Run) -> None:
    said = run("doctor", DATABASE_URL="postgresql://u:geheim@127.0.0.1:9/d", REDIS_URL="redis://:geheim@127.0.0.1:9/0")

    assert said.code == 1
    assert said.out.count("FAIL") == 2
    assert "127.0.0.1:9" in said.out
    assert "geheim" not in said.out + said.err


def test_the_doctor_says_what_is_not_set(tmp_path: Path) -> None:
    said = mobvibe("doctor", cwd=tmp_path)

    assert said.code == 1
    assert said.out.count("FAIL") == 2


def test_a_healthcheck_without_a_web_process_fails_in_one_line(run: Run, taken_port: int) -> None:
    said = run("healthcheck", "live", HEALTH_CHECK_PORT="9")

    assert said.code == 1
    assert "nobody answers at http://127.0.0.1:9/livez" in said.one_line()


def test_a_job_that_no_live_worker_runs_is_sent_and_said_to_wait(run: Run, rows: Rows, hands: Hands) -> None:
    said = run("jobs", "send", "--actor", "hello")
    assert (said.code, said.one_line()) == (0, "mobvibe: it waits: no worker is alive. Start one: mobvibe worker")

    hands.add_worker(actors={"hello": {"queue": "greetings", "max_retries": 3}})
    assert run("jobs", "send", "--actor", "hello").err == ""
    for mistake in (("--actor", "helo"), ("hello",)):
        said = run("jobs", "send", *mistake)
        assert said.out.strip() == str(rows.value("SELECT id FROM coding_jobs ORDER BY seq DESC LIMIT 1"))
        assert said.one_line().endswith("is not among those of the live workers: did you mean --actor hello?")
    said = run("jobs", "send", "--actor", "build_report")
    assert said.one_line().endswith("not among those of the live workers, which have hello")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import bridge\nundefined_name", "tasks/reports.py:2: NameError: name 'undefined_name' is not defined"),
        ("def broken(:", "tasks/reports.py:1: SyntaxError: "),
        ("import pandas_x", "tasks/reports.py:1: ModuleNotFoundError: No module named 'pandas_x'"),
        ("import bridge.nothing", "tasks/reports.py:1: ModuleNotFoundError: No module named 'bridge.nothing'"),
        ("import dramatiq\n\n\n@dramatiq.actor(que_name='x')\ndef a(): ...", "tasks/reports.py:4: ValueError: "),
        ("raise SystemExit('no')", "no"),
    ],
)
def test_an_actors_package_with_a_mistake_in_it_is_one_line_with_its_place(
    run: Run, tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/__init__.py").write_text(
        "from bridge.broker import connect_broker\nconnect_broker()\nfrom tasks import reports"
    )
    (tmp_path / "tasks/reports.py").write_text(text)

    said = run("worker", ACTORS_MODULE="tasks")

    assert said.code == 2
    last = said.err.splitlines()[-1]
    assert last.startswith(f"mobvibe: The actors package 'tasks' cannot be imported: {reason}")
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "text",
    [
        "import dramatiq\n\n\n@dramatiq.actor\ndef hello(): ...",
        "import dramatiq\nfrom dramatiq.brokers.stub import StubBroker\ndramatiq.set_broker(StubBroker())",
    ],
    ids=["an actor", "another broker"],
)
def test_an_actors_package_that_never_connects_is_one_line_that_says_how(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "tasks.py").write_text(text)

    said = run("worker", ACTORS_MODULE="tasks")

    assert said.code == 2
    assert said.one_line() == (
        "mobvibe: The actors package 'tasks' never calls connect_broker(), so its actors belong to another broker. "
        "Put this first in its __init__.py: from bridge.broker import connect_broker; connect_broker()"
    )


@pytest.mark.parametrize(
    "text",
    [
        "import threading, time\nthreading.Thread(target=time.sleep, args=(300,)).start()",
        "import subprocess\nhelper = subprocess.Popen(['sleep', '20'])",
    ],
)
def test_what_an_actors_package_starts_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "tasks.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()

    trouble = import_trouble("tasks")

    assert trouble is not None
    assert "never calls connect_broker()" in trouble
    assert time.monotonic() - began < 15, "not until the thread or the process it started has ended"


def test_a_closed_standard_error_is_no_trouble(tmp_path: Path, dsn: str, redis_url: str) -> None:
    script = f"DATABASE_URL={dsn} REDIS_URL={redis_url} timeout 8 {sys.executable} -m bridge run 2>&-"

    assert subprocess.run(["sh", "-c", script], cwd=tmp_path, check=False).returncode in (0, 124)
