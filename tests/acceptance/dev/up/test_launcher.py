"""`mobvibe up`: a user's first steps, and every way in which they can end."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import psycopg
import pytest
import redis

from bridge import enqueue
from tests.acceptance.processes import BIN, Launched, Process
from tests.support.commands import PLAIN
from tests.support.ended import alive
from tests.support.invariants import check_invariants
from tests.support.waiting import eventually

Launch = type[Launched]


def none_left(family: list[psutil.Process]) -> None:
    eventually(lambda: not alive(family), what="the end of all processes")


def shown_output(events: list[dict[str, Any]]) -> str:
    """Joined: an event ends before what may be the beginning of a secret, and some of this process's are random."""
    return "".join(event["data"]["output"] for event in events if event["event_type"] == "terminal")


def test_up_runs_everything_and_a_second_start_continues_on_its_data(launch: Launch, project: Path) -> None:
    up = launch().wait_until_ready()
    up.wait_for("Sample job")
    assert "completed" in up.output.split("Sample job")[1].splitlines()[0]

    with urllib.request.urlopen(up.printed("Health")) as answer:
        assert list(json.load(answer)) == ["status", "uptime", "timestamp"]
    with urllib.request.urlopen(up.printed("Dashboard")) as answer:
        assert b"MobVibe bridge" in answer.read()

    output = subprocess.run(
        ["/bin/sh", "-c", f"{up.curl_line()} -sS"], capture_output=True, text=True, check=True
    ).stdout
    answered = json.loads(output)
    assert answered["success"] is True, output
    rows = up.rows()
    job_id = UUID(answered["data"]["jobId"])
    eventually(lambda: rows.job(job_id)["status"] == "completed")
    events = rows.all(
        "SELECT event_type, data FROM session_events WHERE session_id = %s ORDER BY seq",
        [answered["data"]["sessionId"]],
    )
    assert (events[0]["event_type"], events[-1]["event_type"]) == ("turn_started", "completion")
    assert shown_output(events) == "Hello from the MobVibe bridge\n"
    assert "+Hello from the MobVibe bridge" in str([e["data"] for e in events if e["event_type"] == "file_change"])
    assert events[-1]["data"]["success"] is True
    assert rows.session(UUID(answered["data"]["sessionId"]))["status"] == "completed"
    for text in ("New job notification received", "Processing job", "Job completed", "Queue statistics"):
        assert text in up.output
    with redis.Redis.from_url(up.printed("Redis")) as client:
        assert client.ping()

    # Other commands in the same folder find the stores by themselves.
    assert json.loads(up.second_terminal("status", "--json").out)["completed"] == 2
    assert up.second_terminal("doctor").code == 0
    joined = Process([str(BIN / "dramatiq"), "actors", "-p", "1", "-t", "4"], project, {}, project / "joined.log")
    joined.wait_for("Worker ready")
    eventually(lambda: rows.value("SELECT count(*) FROM workers WHERE stopped_at IS NULL") == 2)
    assert joined.stop() == 0
    check_invariants(rows)

    family = up.descendants()
    assert len(family) > 5
    assert up.interrupt() < 10
    none_left(family)
    assert "Traceback" not in up.output

    # A second start, with the same data and the token that was printed before.
    token = up.printed("Token")
    again = launch("--no-sample").wait_until_ready()
    assert "Schema: up to date" in again.output
    assert again.rows().job(job_id)["status"] == "completed"
    request = urllib.request.Request(
        f"{again.printed('Dashboard')}functions/v1/get-session-status?sessionId={answered['data']['sessionId']}",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["data"]["status"] == "completed"


def test_a_project_of_your_own_starts_with_the_command_that_up_prints(launch: Launch, tmp_path: Path) -> None:
    launch.project = tmp_path / "shop"
    launch.project.mkdir()
    nothing_there = launch()
    assert nothing_there.wait(20) == 2
    output = nothing_there.output.strip()
    assert "\n" not in output
    assert output.startswith(f"mobvibe: There is no package 'actors' in {launch.project}: set ACTORS_MODULE to yours")

    subprocess.run(["/bin/sh", "-c", output.partition("make a first one with: ")[2]], cwd=launch.project, check=True)
    up = launch().wait_until_ready()

    assert "start-coding-session" not in up.output
    line = "  Actors: hello. Send one a job, from this folder: mobvibe "
    assert line in up.output
    command = up.output.partition(line)[2].splitlines()[0]
    job_id = UUID(up.second_terminal(*shlex.split(command)).out.strip())
    rows = up.rows()
    eventually(lambda: rows.job(job_id)["status"] == "completed", what="the first job")
    assert rows.job(job_id)["result"] == {"hello": {}}
    assert rows.value("SELECT count(*) FROM coding_jobs") == 1, "no sample job, as no actor could run it"
    assert up.interrupt() < 10
    assert " WARN " not in up.output


def test_a_package_of_another_name_is_found_and_a_lack_of_actors_is_reported(launch: Launch, tmp_path: Path) -> None:
    launch.project = tmp_path / "shop"
    (launch.project / "jobs").mkdir(parents=True)
    package = launch.project / "jobs" / "__init__.py"
    package.write_text("from bridge.broker import connect_broker\nconnect_broker()\n")

    (tmp_path / "secret").write_text("s" * 40)

    # The secret of a file reaches the processes, too, which must not get it twice.
    up = launch(ACTORS_MODULE="jobs", SUPABASE_JWT_SECRET_FILE=str(tmp_path / "secret")).wait_until_ready()

    assert "in a second terminal of this folder: dramatiq jobs -p 2 -t 4" in up.output
    assert "The workers announce no actor: declare one with @actor in your actors package" in up.output
    assert up.interrupt() < 10


def test_plain_sql_and_enqueue_start_jobs(launch: Launch, tmp_path: Path) -> None:
    (launch.project / "Procfile").unlink()  # a project may have no Procfile
    up = launch("--no-sample").wait_until_ready()
    rows = up.rows()
    effects = tmp_path / "effects"
    session_id = rows.add_session()
    by_sql = rows.value(
        "INSERT INTO coding_jobs (session_id, prompt) VALUES (%s, %s) RETURNING id",
        [session_id, "```sh\necho hi\n```"],
    )
    with psycopg.connect(up.printed("Postgres")) as connection:
        enqueue(connection, "write_line", {"file": str(effects)})
        connection.rollback()
        committed = enqueue(connection, "write_line", {"file": str(effects)})
    with psycopg.connect(up.printed("Postgres")) as connection:
        summed = enqueue(connection, "add", {"args": [2], "kwargs": {"right": 3}})

    for job_id in (by_sql, committed, summed):
        eventually(lambda: rows.job(job_id)["status"] == "completed", what=f"job {job_id}")  # noqa: B023

    assert effects.read_text() == f"{committed} 1\n"
    assert rows.job(summed)["result"] == 5
    events = rows.all("SELECT event_type, data FROM session_events WHERE session_id = %s ORDER BY seq", [session_id])
    assert (events[0]["event_type"], events[-1]["event_type"]) == ("turn_started", "completion")
    assert shown_output(events) == "hi\n"


def test_the_client_of_the_readme_finds_the_running_stores(launch: Launch) -> None:
    text = (Path(__file__).parents[4] / "README.md").read_text("utf-8")
    (client,) = re.findall(r"```python\n(# your app, .*?)```", text, re.DOTALL)
    up = launch("--no-sample").wait_until_ready()
    rows = up.rows()
    rows.all("CREATE TABLE orders (what text)")

    client = client.replace("INSERT INTO orders …", "INSERT INTO orders VALUES ('a book')")
    subprocess.run([sys.executable, "-c", client], cwd=launch.project, env=PLAIN, check=True)

    (job,) = rows.all("SELECT actor, payload, priority, status FROM coding_jobs")
    assert (job["actor"], job["payload"], job["priority"]) == ("build_report", {"rows": 7}, 5)
    assert rows.value("SELECT count(*) FROM orders") == 1


def test_ctrl_c_hands_a_running_job_back(launch: Launch, tmp_path: Path) -> None:
    up = launch("--no-sample").wait_until_ready()
    rows = up.rows()
    effects, gate = tmp_path / "effects", tmp_path / "gate"
    with psycopg.connect(up.printed("Postgres")) as connection:
        job_id = enqueue(connection, "write_line_and_wait", {"file": str(effects), "gate": str(gate)})
    eventually(effects.exists)

    family = up.descendants()
    took = up.interrupt()

    assert took < 10
    none_left(family)
    assert "Shutdown timeout - job may be incomplete" in up.output
    again = launch("--no-sample").wait_until_ready()
    rows = again.rows()
    eventually(lambda: rows.job(job_id)["fence"] == 2)
    assert (rows.job(job_id)["retry_count"], rows.outcomes(job_id)) == (0, ["released"])
    gate.touch()
    eventually(lambda: rows.job(job_id)["status"] == "completed")
    assert effects.read_text() == f"{job_id} 1\n{job_id} 2\n"
    check_invariants(rows)


def test_ctrl_c_ends_the_commands_of_a_coding_session(launch: Launch) -> None:
    up = launch("--no-sample").wait_until_ready()
    rows = up.rows()
    marker = f"{os.getpid()}.7"
    result = up.second_terminal("jobs", "send", f"Wait.\n```sh\necho up; sleep {marker}\n```")
    job_id = UUID(result.out.strip())
    eventually(lambda: rows.all("SELECT FROM session_events WHERE event_type = 'terminal'"))

    assert up.interrupt() < 10

    assert not [p for p in psutil.process_iter(["cmdline"]) if f"sleep {marker}" in " ".join(p.info["cmdline"] or [])]
    again = launch("--no-sample").wait_until_ready()
    job = again.rows().job(job_id)
    assert job["retry_count"] == 0, job["error_message"]


def test_after_a_killed_launcher_the_next_one_starts(launch: Launch, tmp_path: Path) -> None:
    up = launch("--no-sample").wait_until_ready()
    effects, gate = tmp_path / "effects", tmp_path / "gate"
    with psycopg.connect(up.printed("Postgres")) as connection:
        job_id = enqueue(connection, "write_line_and_wait", {"file": str(effects), "gate": str(gate)})
    eventually(effects.exists)
    family = up.descendants()

    up.send(signal.SIGKILL)
    up.wait(10)
    again = launch("--no-sample").wait_until_ready()

    none_left(family)
    gate.touch()
    rows = again.rows()
    eventually(lambda: rows.job(job_id)["status"] == "completed")
    check_invariants(rows)


def test_a_second_launcher_in_one_folder_is_refused(launch: Launch) -> None:
    up = launch("--no-sample").wait_until_ready()

    second = launch("--no-sample")

    assert second.wait(20) == 1
    # Other commands still find the first one's stores.
    assert (launch.project / ".mobvibe" / "stores.json").exists()
    assert {"postgres", "redis", "honcho"} <= set(
        json.loads((launch.project / ".mobvibe" / "processes.json").read_text())
    )
    assert (
        second.output.strip()
        == f"mobvibe: mobvibe up is already running in this folder (pid {up.popen.pid}). Stop it first."
    )


def test_a_taken_port_is_skipped_unless_it_was_configured(launch: Launch) -> None:
    up = launch("--no-sample").wait_until_ready()
    taken = up.printed("Health").rpartition(":")[2].partition("/")[0]
    other = launch.project.parent / "other"
    other.mkdir()
    for name in ("Procfile", "actors"):
        (other / name).symlink_to(launch.project / name)
    launch.project = other

    asked_for = launch("--no-sample", HEALTH_CHECK_PORT=taken)
    assert asked_for.wait(20) == 1
    assert f"Cannot listen on 127.0.0.1:{taken}: Address already in use" in asked_for.output
    stepped_over = launch("--no-sample", PORT=taken).wait_until_ready()

    said = re.search(rf"Port {taken} is taken, using (\d+)", stepped_over.output)
    assert said, stepped_over.output
    assert int(said[1]) > int(taken), "the next one may be taken too, by a neighbour"
    assert stepped_over.printed("Health").rpartition(":")[2].partition("/")[0] == said[1]


def test_a_process_that_cannot_start_ends_the_launcher_with_its_reason(launch: Launch, project: Path) -> None:
    (project / "actors" / "__init__.py").write_text("import a_module_that_is_not_there\n")

    up = launch("--no-sample")

    assert up.wait(40) == 1
    assert "No module named 'a_module_that_is_not_there'" in up.output
    assert "A process of the Procfile ended, so all were stopped" in up.output.strip().splitlines()[-1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that others may not reach")
def test_no_permission_of_a_folder_is_changed(launch: Launch, project: Path) -> None:
    folders = [project.parent, project, *project.parents]
    before = {folder: folder.stat().st_mode for folder in folders}

    launch("--no-sample").wait_until_ready().interrupt()

    assert {folder: folder.stat().st_mode for folder in folders} == before
    assert project.parent.stat().st_mode & 0o077 == 0
    assert (project / ".mobvibe").stat().st_mode & 0o077 == 0
