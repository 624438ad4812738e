"""Git runs without anybody's configuration, and its failures are one line."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bridge.snapshots.git import Git, GitError
from tests.support.waiting import eventually


@pytest.fixture
def git(tmp_path: Path) -> Git:
    git = Git(tmp_path / "r.git")
    git.run("init", "--quiet", "--bare", "--template=")
    return git


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}/a"


def processes_with(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_text(errors="replace").replace("\0", " "))
    return [command for command in found if text in command]


def test_configuration_of_the_account_is_not_read(git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = somebody\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'user.name=other'")

    with pytest.raises(GitError):
        git.run("config", "user.name")


def test_a_failure_is_one_line(git: Git) -> None:
    with pytest.raises(GitError, match=r"^git cat-file failed: fatal: Not a valid object name nothing$"):
        git.run("cat-file", "-e", "nothing")


def test_a_missing_git_is_named(git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(GitError, match="git is not installed here"):
        git.run("version")
    with pytest.raises(GitError, match="git is not installed here"), git.feed("fast-import"):
        pass


def test_what_is_fed_wrongly_fails_with_its_reason(git: Git) -> None:
    with pytest.raises(GitError, match="Unsupported command: nonsense"), git.feed("fast-import", "--quiet") as stream:
        stream.write(b"nonsense\n")


def test_an_exception_while_it_is_fed_ends_it(git: Git) -> None:
    with suppress(ZeroDivisionError), git.feed("fast-import", "--quiet", "--done") as stream:
        stream.write(b"commit refs/heads/x\ncommitter a <a> 1 +0000\ndata 0\n\n")
        raise ZeroDivisionError
    assert git.run("for-each-ref") == b""


def test_each_request_is_answered(git: Git) -> None:
    blob = git.run("hash-object", "-w", "--stdin", stdin=b"abc").strip()

    outputs = git.answers([blob + b"\n", blob + b"\n"], "cat-file", "--batch-check")

    assert [output.readline() for output in outputs] == [blob + b" blob 3\n"] * 2


def test_a_server_that_is_silent_is_given_up_with_all_processes(
    git: Git, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.snapshots.git._SECONDS", 1.0)

    with pytest.raises(GitError, match="^git ls-remote failed: it took more than 1 s$"):
        git.run("ls-remote", silent)
    eventually(lambda: not processes_with(silent), what="no process of Git")


def test_what_it_does_can_be_ended_by_another_thread(git: Git, silent: str, tmp_path: Path) -> None:
    @contextmanager
    def ended_at_once(end: Callable[[], None]) -> Iterator[None]:
        eventually(lambda: processes_with(silent), what="a process of Git")
        threading.Thread(target=end).start()
        yield

    started = time.monotonic()
    with pytest.raises(GitError):
        Git(tmp_path / "r.git", interruptible=ended_at_once).run("ls-remote", silent)

    assert time.monotonic() - started < 30
    eventually(lambda: not processes_with(silent), what="no process of Git")
