"""A repository as the workspace of a new session. The host fetches it and runs nothing of it; the token stays there."""

import base64
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

from actors.coding.sandbox.base import Sandbox
from actors.coding.workspace.address import Address, CloneError, HostUnavailableError
from actors.coding.workspace.restore import unpack
from bridge.snapshots.git import Git, GitError, Interruptible
from bridge.snapshots.names import UnsafeNameError, saved_name
from bridge.snapshots.origin import is_branch
from bridge.snapshots.repository import FILE, File, Repository

_MOST_BYTES = 100 * 1024 * 1024  # of the pack that is fetched: what the sandbox takes as one file by default
_LAST = b".git/HEAD"  # of the files that a clone writes: where it is, the clone is whole
_DEPTH = 1  # commits: the history can be large, and an agent works on the last one

# What Git says when trying again is in vain, and what that means where Git's own words do not say it.
_FINAL = {
    "could not read Username|Authentication failed|not found|returned error: 40[134]": (
        "it does not exist, or the token does not open it"
    ),
    "returned error: 30[1278]": "it is at another address: try this one with .git at its end",
    "File size limit|index-pack|unpack": "it is larger than {most} MB",
    "couldn't find remote ref|certificate|not valid": "",
}


def clone(
    sandbox: Sandbox,
    address: Address,
    *,
    branch: str | None,
    token: str | None,
    trusted: Path | None = None,
    interruptible: Interruptible = nullcontext,
) -> str:
    """Bring the last commit of a branch, or of the default one, into an empty workspace. Returns the commit.

    `trusted`: a file with certificates, instead of the system's. Raises CloneError, HostUnavailableError;
    WorkspaceError, SandboxError.
    """
    if branch is not None:
        _check_branch(branch)
    with tempfile.TemporaryDirectory(prefix="mobvibe-clone-") as folder:
        repository = Repository(Path(folder) / "clone.git")
        with repository.locked():
            configuration = _configuration(address, token, trusted)
            remote = Git(
                repository.folder,
                configuration=configuration,
                file_bytes=_MOST_BYTES,
                interruptible=interruptible,
            )
            name, commit = _fetch(repository, remote, address, branch)
            unpack(sandbox, _files(repository, address, name, commit))
    return commit


def is_cloned(sandbox: Sandbox) -> bool:
    """Whether a clone into this workspace came to its end."""
    try:
        return bool(sandbox.read(_LAST.decode(), most=1))
    except OSError:
        return False


def _configuration(address: Address, token: str | None, trusted: Path | None) -> Mapping[str, str]:
    configuration = {
        "protocol.allow": "never",
        "protocol.https.allow": "always",
        "http.followRedirects": "false",
        # The addresses that were checked: a name that is resolved again may have others.
        "http.curloptResolve": f"{address.host}:{address.port}:{','.join(map(_bracketed, address.ips))}",
        "http.proxy": "",
        "credential.helper": "",
        "fetch.recurseSubmodules": "false",
        "fetch.unpackLimit": "1",
    }
    if trusted is not None:
        configuration["http.sslCAInfo"] = str(trusted)
    if token is not None:
        login = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        configuration[f"http.https://{address.host}:{address.port}/.extraHeader"] = f"Authorization: Basic {login}"
    return configuration


def _bracketed(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _check_branch(name: str) -> None:
    if not is_branch(name):
        raise CloneError("the branch has a name that this cannot clone")


def _fetch(repository: Repository, remote: Git, address: Address, branch: str | None) -> tuple[str, str]:
    """The name of the branch, and its last commit."""
    try:
        name = branch or _default_branch(remote, address)
        both = f"+refs/heads/{name}:refs/heads/{name}"
        remote.run("fetch", "--quiet", f"--depth={_DEPTH}", "--no-tags", "--no-write-fetch-head", address.url, both)
        repository.git.run("read-tree", f"refs/heads/{name}")  # the index: else all files look deleted inside
        return name, repository.git.run("rev-parse", f"refs/heads/{name}").decode().strip()
    except GitError as error:
        raise _problem(address, str(error)) from None


def _default_branch(remote: Git, address: Address) -> str:
    for line in remote.run("ls-remote", "--symref", address.url, "HEAD").decode(errors="replace").splitlines():
        target, _, name = line.partition("\t")
        if name == "HEAD" and target.startswith("ref: refs/heads/"):
            branch = target.removeprefix("ref: refs/heads/")
            _check_branch(branch)
            return branch
    raise CloneError(f"{address.url} is empty: push a first commit, or start a session without it")


def _problem(address: Address, said: str) -> CloneError:
    without_names = said.replace(address.url, "")  # a name may hold any of the words
    for pattern, reason in _FINAL.items():
        if re.search(pattern, without_names):
            most = _MOST_BYTES // 1024 // 1024
            return CloneError(f"{address.url} cannot be cloned: {reason.format(most=most) or said}")
    return HostUnavailableError(f"{address.url} cannot be cloned now: {said}")


def _files(repository: Repository, address: Address, name: str, commit: str) -> Iterator[File]:
    """Those of the commit, as they are in the repository, and the repository's own data. No token is in them."""
    for file in repository.files(repository.entries(commit)):
        if b".git" in file.path.lower().split(b"/"):
            raise CloneError(f"{address.url} cannot be cloned: it has a file in a folder .git")
        try:
            yield file._replace(path=saved_name(file.path))
        except UnsafeNameError as error:
            raise CloneError(f"{address.url} cannot be cloned: {error}") from None
    origin = f'[remote "origin"]\n\turl = {address.url}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
    tracked = f'[branch "{name}"]\n\tremote = origin\n\tmerge = refs/heads/{name}\n'
    data = {
        "config": f"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n{origin}{tracked}",
        f"refs/heads/{name}": f"{commit}\n",
        f"refs/remotes/origin/{name}": f"{commit}\n",
    }
    for path, text in data.items():
        yield File(saved_name(f".git/{path}".encode()), FILE, text.encode())
    fetched = [repository.folder / "index", repository.folder / "shallow", *repository.folder.glob("objects/pack/*")]
    for one in fetched:
        if one.exists():
            yield File(saved_name(b".git/" + bytes(one.relative_to(repository.folder))), FILE, one.read_bytes())
    yield File(saved_name(_LAST), FILE, f"ref: refs/heads/{name}\n".encode())
