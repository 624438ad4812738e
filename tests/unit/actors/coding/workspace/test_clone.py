"""S17 and S18: a repository is brought into a sandbox; nothing of it is run, and the token stays outside."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.coding.sandbox.base import Exit
from actors.coding.workspace.address import Address, CloneError, HostUnavailableError, checked_address
from actors.coding.workspace.clone import clone, is_cloned
from tests.support.git_server import GitServer, git
from tests.support.plain_sandbox import PlainSandbox

TOKEN = "the-token-of-the-user"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    folder = tmp_path_factory.mktemp("served")
    source = folder / "project"
    source.mkdir()
    git(source, "init", "-q")
    (source / "run").write_text("#!/bin/sh\n")
    (source / "run").chmod(0o755)
    (source / "link").symlink_to("/etc/passwd")
    (source / ".gitattributes").write_text("* filter=evil\n*.lfs filter=lfs\n")
    (source / "dir").mkdir()
    (source / "dir" / "a b").write_text("1\n")
    git(source, "add", "-A")
    git(source, "commit", "-qm", "first")
    git(source, "commit", "-qm", "second", "--allow-empty")
    git(source, "branch", "other/branch", "HEAD^")
    (folder / "empty").mkdir()
    git(folder / "empty", "init", "-q")
    with GitServer(folder).serving() as server:
        yield server


@pytest.fixture
def server(served: GitServer) -> GitServer:
    served.token = served.elsewhere = served.status = None
    served.is_cut = False
    served.requests.clear()
    return served


def address(server: GitServer, name: str = "project/.git") -> Address:
    url = f"https://{server.host}/{name}"
    return checked_address(url, {server.host}, resolve=lambda *_: ["127.0.0.1"], may_reach=lambda _: True)


def cloned(
    server: GitServer,
    sandbox: PlainSandbox,
    *,
    branch: str | None = None,
    token: str | None = None,
    name: str = "project/.git",
) -> str:
    return clone(sandbox, address(server, name), branch=branch, token=token, trusted=server.certificate)


def test_the_last_commit_of_the_default_branch_is_the_workspace(server: GitServer, sandbox: PlainSandbox) -> None:
    commit = cloned(server, sandbox)

    folder = sandbox.folder
    assert commit == git(server.folder / "project", "rev-parse", "trunk")
    assert (folder / "dir/a b").read_text() == "1\n"
    assert os.access(folder / "run", os.X_OK)
    assert str((folder / "link").readlink()) == "/etc/passwd"
    assert git(folder, "-c", "filter.evil.clean=cat", "status", "--short", "--branch") == "## trunk...origin/trunk"
    assert git(folder, "log", "--format=%s") == "second"
    assert git(folder, "remote", "get-url", "origin") == f"https://{server.host}/project/.git"
    git(folder, "fsck", "--strict")


def test_a_branch_can_be_chosen(server: GitServer, sandbox: PlainSandbox) -> None:
    cloned(server, sandbox, branch="other/branch")

    assert git(sandbox.folder, "log", "--format=%s") == "first"
    assert git(sandbox.folder, "branch", "--show-current") == "other/branch"


def test_a_token_opens_a_private_repository_and_is_nowhere_afterwards(
    server: GitServer, sandbox: PlainSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.token = TOKEN
    noting = tmp_path / "bin" / "git"
    noting.parent.mkdir()
    noting.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\nexec {shutil.which("git")} "$@"\n')
    noting.chmod(0o755)
    monkeypatch.setenv("PATH", f"{noting.parent}:{os.environ['PATH']}")

    cloned(server, sandbox, token=TOKEN)

    assert "fetch" in (tmp_path / "arguments").read_text()
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert TOKEN.encode() not in content, path
            assert b"Authorization" not in content, path
    assert not any(TOKEN in str(command) for command in sandbox.commands)


@pytest.mark.parametrize("token", [None, "a-wrong-token"])
def test_without_the_token_it_says_why_and_does_not_name_it(
    server: GitServer, sandbox: PlainSandbox, token: str | None
) -> None:
    server.token = TOKEN

    with pytest.raises(CloneError, match="it does not exist, or the token does not open it$") as refused:
        cloned(server, sandbox, token=token)
    assert "a-wrong-token" not in str(refused.value)
    assert not list(sandbox.folder.iterdir())


def test_a_redirect_is_not_followed(server: GitServer, sandbox: PlainSandbox) -> None:
    server.elsewhere = f"https://{server.host}/elsewhere"

    with pytest.raises(CloneError, match="it is at another address: try this one with .git at its end$"):
        cloned(server, sandbox)
    assert len(server.requests) == 1


def test_only_the_checked_addresses_are_connected_to(server: GitServer, sandbox: PlainSandbox) -> None:
    elsewhere = address(server)._replace(ips=["127.0.0.2"])  # where nothing listens; the name says 127.0.0.1

    with pytest.raises(HostUnavailableError, match="cannot be cloned now"):
        clone(sandbox, elsewhere, branch=None, token=None, trusted=server.certificate)
    assert server.requests == []


def test_an_unknown_certificate_is_refused(server: GitServer, sandbox: PlainSandbox) -> None:
    with pytest.raises(CloneError, match="certificate"):
        clone(sandbox, address(server), branch=None, token=None)
    assert server.requests == []


@pytest.mark.parametrize(
    ("name", "branch", "reason"),
    [
        ("missing", None, "it does not exist"),
        ("empty/.git", None, "is empty: push a first commit"),
        ("project/.git", "missing", "couldn't find remote ref refs/heads/missing"),
        ("project/.git", "--upload-pack=id", "has a name that this cannot clone"),
        ("project/.git", "a..b", "has a name that this cannot clone"),
    ],
)
def test_what_cannot_be_cloned_is_one_line(
    server: GitServer, sandbox: PlainSandbox, name: str, branch: str | None, reason: str
) -> None:
    with pytest.raises(CloneError, match=reason) as refused:
        cloned(server, sandbox, name=name, branch=branch)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_host_that_fails_may_be_asked_again(server: GitServer, sandbox: PlainSandbox, status: int) -> None:
    server.status = status

    with pytest.raises(HostUnavailableError, match=f"cannot be cloned now: .*{status}"):
        cloned(server, sandbox)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_host_that_refuses_is_not_asked_again(server: GitServer, sandbox: PlainSandbox, status: int) -> None:
    server.status = status

    with pytest.raises(CloneError, match="does not exist, or the token does not open it$") as refused:
        cloned(server, sandbox)
    assert not isinstance(refused.value, HostUnavailableError)


def test_a_connection_that_is_cut_brings_nothing_and_may_be_tried_again(
    server: GitServer, sandbox: PlainSandbox
) -> None:
    server.is_cut = True

    with pytest.raises(HostUnavailableError, match="cannot be cloned now"):
        cloned(server, sandbox)
    assert not list(sandbox.folder.iterdir())


def test_a_clone_is_whole_with_its_last_file(
    server: GitServer, sandbox: PlainSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = []
    run = sandbox.run

    def run_and_look(*arguments: Any, **options: Any) -> Exit:
        whole.append(is_cloned(sandbox))
        return run(*arguments, **options)

    monkeypatch.setattr("actors.coding.workspace.restore._BATCH_FILES", 1)
    monkeypatch.setattr(sandbox, "run", run_and_look)

    cloned(server, sandbox)

    assert len(whole) > 10
    assert not any(whole)
    assert is_cloned(sandbox)


def test_a_repository_that_is_too_large_is_refused(
    server: GitServer, sandbox: PlainSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = server.folder / "project"
    git(source, "checkout", "-q", "--orphan", "large")
    (source / "large").write_bytes(os.urandom(3_000_000))
    git(source, "add", "large")
    git(source, "commit", "-qm", "large")
    git(source, "checkout", "-qf", "trunk")
    monkeypatch.setattr("actors.coding.workspace.clone._MOST_BYTES", 1024 * 1024)

    with pytest.raises(CloneError, match="it is larger than 1 MB$"):
        cloned(server, sandbox, branch="large")
    assert not list(sandbox.folder.iterdir())
