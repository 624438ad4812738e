"""The promises of the Node worker's manual, one by one, against processes that are started with its own `.env`.

What is kept differently is in docs/reference/node-worker.md, with the reason.
"""

import json
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bridge.dev.embedded.server import pick_port
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from tests.acceptance.processes import Fleet, Process
from tests.conftest import Servers, new_database
from tests.support import node_worker
from tests.support.commands import PLAIN, mobvibe
from tests.support.rows import Rows
from tests.support.waiting import eventually

HERE = Path(__file__).parent


def project_of(folder: Path) -> Path:
    """A folder with the Node worker's `.env`, and the actor that its jobs are for."""
    (folder / "jobs").mkdir(parents=True)
    shutil.copy(HERE / "node_actors.py", folder / "jobs" / "__init__.py")
    (folder / ".env").write_text(node_worker.ENV)
    return folder


def lines_of(process: Process) -> list[dict[str, Any]]:
    """Each line of a process as an object: a line that is no JSON fails the test."""
    return [json.loads(line) for line in process.output.splitlines()]


def add_session(rows: Rows, prompt: str) -> dict[str, Any]:
    """Insert a session and its job, as the Node worker's clients do. Returns the job."""
    session = rows.value("INSERT INTO coding_sessions (user_id) VALUES (gen_random_uuid()) RETURNING id")
    return rows.one("INSERT INTO coding_jobs (session_id, prompt) VALUES (%s, %s) RETURNING *", [session, prompt])


@dataclass
class Day:
    """All that three processes wrote and answered while jobs of all kinds came, until they were stopped."""

    port: int
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    health: tuple[int, str, bytes] = (0, "", b"")
    lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    queries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def all_lines(self) -> list[dict[str, Any]]:
        return [line for lines in self.lines.values() for line in lines]

    def said(self, msg: str) -> list[dict[str, Any]]:
        return [line for line in self.all_lines if line["msg"] == msg]


@pytest.fixture(scope="module")
def day(servers: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("node")
    for dsn in new_database(servers, template_database):
        day = Day(pick_port())
        given = {
            "DATABASE_URL": dsn, "REDIS_URL": servers.redis, "REDIS_NAMESPACE": "node-contract",
            "ACTORS_MODULE": "jobs",
            # The manual's own variables, with values that a test can wait for.
            "NODE_ENV": "production", "HEALTH_CHECK_PORT": str(day.port), "MAX_CONCURRENT_JOBS": "4",
            "MONITOR_INTERVAL_MS": "500", "SHUTDOWN_TIMEOUT_MS": "300",
        }  # fmt: skip
        fleet = Fleet(project_of(folder / "project"), given)
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                spend(day, fleet, Rows(connection))
        finally:
            fleet.end_all()
        yield day


def spend(day: Day, fleet: Fleet, rows: Rows) -> None:
    started = {name: fleet.start(sys.executable, "-m", "bridge", name) for name in ("run", "worker", "web")}
    for name, text in {"run": "Bridge ready", "worker": "Worker ready", "web": "Web ready"}.items():
        started[name].wait_for(text)

    day.jobs = {prompt: add_session(rows, prompt) for prompt in ("0", "fail", "5.1", "60")}
    with urllib.request.urlopen(f"http://127.0.0.1:{day.port}/health") as answer:
        day.health = answer.status, answer.headers["Content-Type"], answer.read()
    ended = "SELECT count(*) FROM coding_jobs WHERE status IN ('completed', 'failed')"
    eventually(lambda: rows.value(ended) == 3, seconds=30, what="the end of three jobs")
    eventually(lambda: '"completed":2' in started["run"].output, seconds=10, what="statistics of the ended jobs")
    day.queries = {name: rows.all(getattr(node_worker, name)) for name in ("PENDING", "CLAIM", "TRIGGERS")}

    for name in ("worker", "run", "web"):
        day.exits[name] = started[name].stop()
    day.statuses = {prompt: rows.status(job["id"]) for prompt, job in day.jobs.items()}
    day.lines = {name: lines_of(process) for name, process in started.items()}


# Configuration


def test_its_env_file_gives_its_defaults(tmp_path: Path) -> None:
    """Comments behind the values, as in the manual, are no part of them."""
    project = project_of(tmp_path / "project")

    shown = json.loads(mobvibe("config", "--json", cwd=project).out)

    defaults = re.findall(r"^([A-Z_]+)=(\S+)", node_worker.ENV, re.MULTILINE)
    assert len(defaults) == 9
    for name, value in defaults:
        assert str(shown[name]) == ("***" if name == "SUPABASE_SERVICE_ROLE_KEY" else value), name
    (project / ".env").unlink()
    bare = json.loads(mobvibe("config", "--json", cwd=project).out)
    assert {name for name in shown if shown[name] != bare[name]} == {
        "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY",
        "HEALTH_CHECK_PORT",  # unset is 8080, too
    }  # fmt: skip
    assert bare["effective HTTP port"] == 8080


@pytest.mark.parametrize("command", ["run", "worker", "web"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "DATABASE_URL is missing: SUPABASE_URL is the REST address"),
        ({"SUPABASE_URL": "your-project"}, "SUPABASE_URL is not a valid URL"),
    ],
)
def test_a_missing_or_invalid_variable_ends_a_process_with_code_1(
    tmp_path: Path, command: str, given: dict[str, str], message: str
) -> None:
    result = mobvibe(command, cwd=project_of(tmp_path / "project"), **given)

    assert result.code == 1
    assert message in result.one_line()


def test_a_port_in_use_ends_the_web_process_with_code_1(tmp_path: Path) -> None:
    given = {"DATABASE_URL": "postgresql://127.0.0.1:9/d", "REDIS_URL": "redis://127.0.0.1:9/0"}
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        given["HEALTH_CHECK_PORT"] = str(server.getsockname()[1])

        result = mobvibe("web", cwd=project_of(tmp_path / "project"), **given)

    assert result.code == 1
    assert "Set HEALTH_CHECK_PORT to a free port." in result.err


# Health


def test_health_has_its_three_keys(day: Day) -> None:
    status, kind, body = day.health
    answer = json.loads(body)

    assert (status, kind) == (200, "application/json")
    assert list(answer) == list(node_worker.HEALTH)
    assert answer["status"] == node_worker.HEALTH["status"]
    assert isinstance(answer["uptime"], float)
    assert re.sub(r"\d", "0", answer["timestamp"]) == re.sub(r"\d", "0", str(node_worker.HEALTH["timestamp"]))


# Logs


def test_in_production_each_line_is_an_object_with_pinos_fields(day: Day) -> None:
    for name, lines in day.lines.items():
        assert lines, name
        for line in lines:
            assert list(line)[:4] == ["level", "time", "pid", "hostname"], line
            assert list(line)[-1] == "msg", line
            assert line["level"] in node_worker.LEVELS.values()
            assert isinstance(line["time"], int)
            assert len(str(line["time"])) == len("1704715200000"), "milliseconds"


def test_in_development_lines_are_for_people(tmp_path: Path) -> None:
    logged = said_at("info", project_of(tmp_path / "project"), NODE_ENV="development")
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} INFO +info", logged[0]), logged


@pytest.mark.parametrize("level", node_worker.LEVELS)
def test_a_log_level_shows_itself_and_what_is_worse(tmp_path: Path, level: str) -> None:
    logged = [json.loads(line) for line in said_at(level, project_of(tmp_path / "project"), NODE_ENV="production")]

    shown = list(node_worker.LEVELS)[list(node_worker.LEVELS).index(level) :]
    assert [(line["msg"], line["level"]) for line in logged] == [(one, node_worker.LEVELS[one]) for one in shown]


SAY_ALL = """
import logging
from bridge.cli.services import service_settings
from bridge.logs.formats import LEVELS
service_settings()
for name, level in LEVELS.items():
    logging.getLogger("bridge.test").log(level, name)
"""


def said_at(level: str, project: Path, **environment: str) -> list[str]:
    """The lines of a process that logs once on each level."""
    result = subprocess.run(
        [sys.executable, "-c", SAY_ALL], cwd=project, env=PLAIN | environment | {"LOG_LEVEL": level},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return result.stderr.splitlines()


@pytest.mark.parametrize(
    ("msg", "process"),
    [("New job notification received", "run"), ("Processing job", "worker"), ("Job completed", "worker")],
)
def test_the_messages_of_a_job_are_there_with_its_ids(day: Day, msg: str, process: str) -> None:
    job = day.jobs["0"]

    (line,) = [line for line in day.lines[process] if line["msg"] == msg and line.get("jobId") == str(job["id"])]

    assert (line["level"], line["sessionId"]) == (30, str(job["session_id"]))


def test_a_completed_job_has_the_fields_of_the_example(day: Day) -> None:
    lines = {line["jobId"]: line for line in day.said("Job completed")}
    line = lines[str(day.jobs["5.1"]["id"])]

    assert set(node_worker.JOB_COMPLETED) <= set(line)
    for name, value in node_worker.JOB_COMPLETED.items():
        assert type(line[name]) is type(value), name
    assert 5_100 <= line["duration"] < 9_000


def test_the_statistics_line_has_the_fields_of_the_example(day: Day) -> None:
    lines = day.said("Queue statistics")

    for line in lines:
        assert [name for name in line if name in node_worker.QUEUE_STATISTICS] == list(node_worker.QUEUE_STATISTICS)
        for name, value in node_worker.QUEUE_STATISTICS.items():
            assert line[name] is None or type(line[name]) is type(value), name
    last = lines[-1]
    assert (last["completed"], last["failed"], last["successRate"]) == (2, 1, "66.7")


def test_its_query_in_elasticsearch_finds_the_slow_jobs(day: Day) -> None:
    found = [line for line in day.all_lines if node_worker.finds(node_worker.SLOW_JOBS["query"], line)]

    assert [line["jobId"] for line in found if line["msg"] == "Job completed"] == [str(day.jobs["5.1"]["id"])]
    assert all(line["duration"] >= 5000 for line in found)


def test_a_field_has_one_type_in_all_lines(day: Day) -> None:
    """Elasticsearch refuses a line whose field has another type than in the lines before."""
    kinds: dict[str, set[str]] = {}
    for line in day.all_lines:
        for name, value in line.items():
            if value is not None:
                kinds.setdefault(name, set()).add("number" if isinstance(value, int | float) else type(value).__name__)

    assert {name: kind for name, kind in kinds.items() if len(kind) > 1} == {}


def test_no_line_has_a_key_or_a_prompt(day: Day) -> None:
    text = json.dumps(day.all_lines)

    assert "your-service-role-key-here" not in text
    assert "60.0" not in text


# Shutdown


def test_a_job_that_does_not_end_in_time_is_named_at_the_stop_and_runs_again(day: Day) -> None:
    (line,) = day.said("Shutdown timeout - job may be incomplete")

    assert line["level"] == node_worker.LEVELS["warn"]
    assert day.statuses == {"0": "completed", "fail": "failed", "5.1": "completed", "60": "pending"}


def test_a_stop_is_clean_and_says_so(day: Day) -> None:
    assert day.exits == {"run": 0, "worker": 0, "web": 0}
    said = [line["msg"] for line in day.lines["run"] if line["msg"] != "Queue statistics"]  # its time may be any moment
    assert said[-2:] == ["Received shutdown signal", "Bridge stopped cleanly"]
    assert day.lines["worker"][-1]["msg"] == "Workers stopped"


# Database


def test_its_queries_for_troubles_work(day: Day) -> None:
    assert day.queries["PENDING"] == [{"count": 0}]
    assert day.queries["CLAIM"] == []
    assert {row["tgname"] for row in day.queries["TRIGGERS"]} == {"on_job_created", "on_job_status_changed"}


def test_its_queue_class_has_its_methods(rows: Rows, dsn: str) -> None:
    link = Link(dsn, "test")
    queue = JobQueue(link)
    first, second = (add_session(rows, prompt) for prompt in ("a", "b"))

    claimed = queue.claim_next_job()
    assert claimed is not None
    assert (claimed.job_id, claimed.session_id, claimed.prompt, claimed.priority) == (
        first["id"], first["session_id"], "a", 0,
    )  # fmt: skip
    queue.complete_job(claimed.job_id)
    claimed = queue.claim_next_job()
    assert claimed is not None
    assert queue.fail_job(claimed.job_id, "boom") is True

    stats = queue.get_queue_stats()
    assert (stats.pending_count, stats.processing_count, stats.completed_count, stats.failed_count) == (1, 0, 1, 0)
    assert stats.oldest_pending_age is not None
    assert list(rows.one("SELECT * FROM get_queue_stats()")) == [
        "pending_count", "processing_count", "completed_count", "failed_count", "oldest_pending_age",
    ]  # fmt: skip
    assert rows.status(second["id"]) == "pending"
    link.close()


def test_its_statement_for_stuck_jobs_sends_them_back(rows: Rows) -> None:
    job = add_session(rows, "a")["id"]
    rows.all("SELECT * FROM claim_next_job()")
    rows.all("UPDATE coding_jobs SET started_at = now() - interval '6 minutes' WHERE id = %s", [job])

    rows.all(node_worker.RESET_STUCK)

    assert rows.status(job) == "pending"
    assert rows.one("SELECT * FROM claim_next_job()")["job_id"] == job


def test_jobs_run_without_any_notification_and_within_their_timeout(
    tmp_path: Path, rows: Rows, dsn: str, redis_url: str
) -> None:
    """Polling goes on without Realtime. JOB_TIMEOUT_MS, LOG_PRETTY and WORKER_ID are those of the Node worker."""
    rows.all("ALTER TABLE coding_jobs DISABLE TRIGGER on_job_created")
    given = {
        "DATABASE_URL": dsn, "REDIS_URL": redis_url, "ACTORS_MODULE": "jobs", "POLL_INTERVAL_MS": "500",
        "JOB_TIMEOUT_MS": "700", "LOG_PRETTY": "false", "WORKER_ID": "fly-7", "MAX_CONCURRENT_JOBS": "2",
    }  # fmt: skip
    fleet = Fleet(project_of(tmp_path / "project"), given)
    try:
        fleet.bridge()
        worker = fleet.start(sys.executable, "-m", "bridge", "worker")
        worker.wait_for("Worker ready")
        quick = add_session(rows, "0")["id"]
        slow = rows.one(
            "INSERT INTO coding_jobs (session_id, prompt, max_retries) VALUES (%s, '30', 1) RETURNING *",
            [rows.value("INSERT INTO coding_sessions (user_id) VALUES (gen_random_uuid()) RETURNING id")],
        )["id"]

        eventually(lambda: rows.status(quick) == "completed", seconds=15, what="the quick job's end")
        eventually(lambda: rows.status(slow) == "failed", seconds=15, what="the slow job's end")

        assert rows.job(slow)["error_message"] == "the time limit was exceeded"
        assert re.fullmatch(r"fly-7:\d+", rows.value("SELECT name FROM workers"))
        assert {line["workerId"] for line in lines_of(worker)} == {"fly-7"}
    finally:
        fleet.end_all()
