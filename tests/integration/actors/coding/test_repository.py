"""S18: a session starts from a Git repository, which a local server has; the token that opens it is seen nowhere."""

import base64
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from actors.coding.installation import installation
from bridge.settings import Settings
from tests.integration.actors.coding.conftest import USER, CodingSessions
from tests.support.git_server import GitServer, git
from tests.support.rows import Rows
from tests.support.waiting import eventually
from tests.unit.snapshots.test_git import processes_with

TOKEN = "planted-token-of-the-installation"
TABLES = ("coding_sessions", "coding_jobs", "job_attempts", "session_events", "session_messages", "session_calls")
SHOWN = "```sh\ncat greeting; git log --format=%s; git status --short; env; cat .git/config\n```"

AT_ONCE_SECONDS = 30.0  # a quarter of the time after which Git would be given up

Start = Callable[..., CodingSessions]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    """It wants the token."""
    project = tmp_path / "served" / "project"
    project.mkdir(parents=True)
    git(project, "init", "-q")
    (project / "greeting").write_text("Hello from the repository\n")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "the last commit")
    with GitServer(project.parent).serving() as served:
        served.token = TOKEN
        yield served


@pytest.fixture
def sessions(coding: Start, server: GitServer, monkeypatch: pytest.MonkeyPatch) -> CodingSessions:
    def here() -> Any:
        made = installation()
        local: dict[str, Any] = {"resolve": lambda *_: ["127.0.0.1"], "may_reach": lambda _: True}
        return replace(made, remotes=replace(made.remotes, trusted=server.certificate, **local))

    monkeypatch.setattr("actors.coding.installation.installation", here)
    return coding(git_hosts=server.host, git_token=SecretStr(TOKEN))


def repository(server: GitServer, **given: str) -> dict[str, Any]:
    return {"repository": {"url": f"https://{server.host}/project/.git"} | given}


def notices(sessions: CodingSessions, session_id: UUID) -> list[str]:
    return [event["text"] for event in sessions.events(session_id, "notice")]


def go_on(sessions: CodingSessions, session_id: UUID) -> dict[str, Any]:
    row = sessions.rows.one("SELECT * FROM continue_session(%s, %s)", [session_id, USER])
    return sessions.finished(row["job_id"])


def cloned(server: GitServer) -> str:
    commit = git(server.folder / "project", "rev-parse", "HEAD")
    return f"cloned {server.host}/project/.git at {commit[:10]}"


def test_the_agent_works_on_a_private_repository_and_its_token_is_nowhere(
    sessions: CodingSessions, server: GitServer, settings: Settings, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        session_id, job = sessions.run(f"{SHOWN}\n```sh\necho 1 > new\n```", payload=repository(server, branch="trunk"))

    assert job["status"] == "completed", job["error_message"]
    assert notices(sessions, session_id) == [cloned(server)]
    shown = "".join(event["output"] for event in sessions.events(session_id, "terminal"))
    assert shown.startswith("Hello from the repository\nthe last commit\n")
    assert [event.get("path") for event in sessions.events(session_id, "file_change")] == ["new", None]
    stored = "".join(str(rows.all(f"SELECT * FROM {table}")) for table in TABLES) + caplog.text
    folders = [installation().snapshots.parent, settings.workspaces]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.name == "greeting" for path in files)
    contents = stored.encode() + b"".join(path.read_bytes() for path in files)
    for secret in (TOKEN, base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode(), "x-access-token"):
        assert secret.encode() not in contents


def test_an_attempt_that_goes_on_does_not_clone_again(sessions: CodingSessions, server: GitServer) -> None:
    session_id, job = sessions.run(
        "```sh\necho work > greeting; exit 3\n```", payload=repository(server), max_retries=2
    )

    assert (job["status"], job["retry_count"]) == ("failed", 2)
    assert notices(sessions, session_id) == [cloned(server)]


def test_work_that_no_snapshot_has_is_not_cloned_over(sessions: CodingSessions, server: GitServer) -> None:
    session_id, _ = sessions.run(
        "```sh\nrm -rf .git; echo work > greeting; exit 3\n```", payload=repository(server), max_retries=1
    )
    shutil.rmtree(installation().snapshots / str(session_id))
    requests = len(server.requests)

    go_on(sessions, session_id)

    assert notices(sessions, session_id) == [cloned(server)]
    assert len(server.requests) == requests


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://github.com/owner/name", "github.com is not a host to clone from: GIT_HOSTS has {host}"),
        ("https://{host}/missing", "https://{host}/missing cannot be cloned: it does not exist, or the token does not"),
        ("https://user:geheim@{host}/project", "the repository cannot be cloned: its address has a user or a token"),
    ],
)
def test_what_cannot_be_cloned_fails_at_once_with_one_line(
    sessions: CodingSessions, server: GitServer, url: str, reason: str
) -> None:
    payload = {"repository": {"url": url.format(host=server.host)}}

    session_id, job = sessions.run(SHOWN, payload=payload, max_retries=3)

    assert (job["status"], job["retry_count"]) == ("failed", 1)
    assert job["error_message"].startswith(reason.format(host=server.host))
    assert "\n" not in job["error_message"]
    assert [event["message"] for event in sessions.events(session_id, "error")] == [job["error_message"]]
    assert "geheim" not in job["error_message"]


def test_a_host_that_is_away_is_tried_again(sessions: CodingSessions, server: GitServer) -> None:
    server.status = 503

    session_id, job = sessions.run(SHOWN, payload=repository(server), max_retries=1)
    assert "cannot be cloned now" in job["error_message"]
    assert sessions.events(session_id, "error")

    server.status = None
    assert go_on(sessions, session_id)["status"] == "completed"
    assert notices(sessions, session_id) == [cloned(server)]


def test_a_cancel_ends_a_clone_from_a_silent_host(sessions: CodingSessions, server: GitServer, rows: Rows) -> None:
    server.answers.clear()
    session_id, job_id = sessions.start(SHOWN, payload=repository(server))
    eventually(lambda: server.requests, what="a request")

    cancelled = time.monotonic()
    rows.all("SELECT cancel_job(%s)", [job_id])
    job = sessions.finished(job_id)
    eventually(lambda: not processes_with(server.host), what="no process of Git")

    assert job["status"] == "cancelled"
    assert time.monotonic() - cancelled < AT_ONCE_SECONDS
    assert not notices(sessions, session_id)
