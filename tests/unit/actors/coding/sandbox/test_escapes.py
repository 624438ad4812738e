"""What a command of a sandbox may try, and does not get."""

import contextlib
import os
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pytest

from actors.coding.sandbox.base import Exit, Sandbox
from tests.support.escapes import PRELUDE, PYTHON, SHELL
from tests.support.sandboxes import SPEC, Ran, alive, local_provider, marked_sleep, run
from tests.support.waiting import eventually

SECRET = f"canary-{uuid4().hex}"
INSIDE_PYTHON = "/usr/bin/python3"


class Outside:
    """What there is to get: files, another session, a process with a secret, open ports, descriptors."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.home = self._secret(folder / "home" / ".ssh" / "id_ed25519").parents[1]
        self.secret_file = self._secret(folder / "secret")
        self.workspaces = folder / "workspaces"
        self.provider = local_provider(self.workspaces)
        self.other_session = self.workspaces / str(uuid4())
        other = self.provider.obtain(UUID(self.other_session.name), 1, SPEC)
        other.write("secret", SECRET.encode())
        other.close()
        self.worker = os.getpid()
        self.process = subprocess.Popen(["sleep", "3600"], env={"SECRET": SECRET})
        self.victim = self.process.pid
        self.listener = socket.create_server(("", 0))
        self.port = self.listener.getsockname()[1]
        self.address = _address()
        self.abstract = f"mobvibe-{uuid4()}"
        self.abstract_listener = socket.socket(socket.AF_UNIX)
        self.abstract_listener.bind("\0" + self.abstract)
        self.abstract_listener.listen()
        self.descriptor = os.open(self.secret_file, os.O_RDWR)
        os.set_inheritable(self.descriptor, True)
        self.session_id = uuid4()
        self.sandbox = self.provider.obtain(self.session_id, 1, SPEC)
        self._secret(self.workspaces / f"{self.session_id}-evil" / "secret")
        self.daemon_socket = self.workspaces / str(self.session_id) / "run" / "socket"

    def _secret(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SECRET)
        return path

    def close(self) -> None:
        self.sandbox.close()
        self.process.kill()
        self.process.wait()
        self.listener.close()
        self.abstract_listener.close()
        os.close(self.descriptor)


def _address() -> str:
    """An address of this machine that others can reach, or its own."""
    addresses = [
        address.address
        for name, all_ in psutil.net_if_addrs().items()
        for address in all_
        if name != "lo" and address.family == socket.AF_INET
    ]
    return addresses[0] if addresses else "127.0.0.1"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    outside = Outside(tmp_path_factory.mktemp("outside"))
    yield outside
    outside.close()


@pytest.fixture
def sandbox(outside: Outside) -> Sandbox:
    run(outside.sandbox, "rm -rf /workspace/* /workspace/.[!.]*")
    return outside.sandbox


def filled(program: str, outside: Outside) -> str:
    return program.format(**{name: value for name, value in vars(outside).items() if name != "provider"})


def check_held(ran: Ran, outside: Outside) -> None:
    text = ran.text() + ran.text("stderr")
    assert "ESCAPED" not in text
    assert SECRET not in text
    assert outside.process.poll() is None, "the process outside was killed"
    assert outside.secret_file.read_text() == SECRET


@pytest.mark.parametrize("attempt", SHELL)
def test_shells_do_not_get(sandbox: Sandbox, outside: Outside, attempt: str) -> None:
    ran = run(sandbox, f"echo TRIED; {filled(SHELL[attempt], outside)}")

    assert ran.text().startswith("TRIED\n")
    check_held(ran, outside)


@pytest.mark.parametrize("attempt", PYTHON)
def test_programs_do_not_get(sandbox: Sandbox, outside: Outside, attempt: str) -> None:
    if not Path(INSIDE_PYTHON).exists():
        pytest.skip(f"{INSIDE_PYTHON} is not there for the programs")
    ran = run(
        sandbox, [INSIDE_PYTHON, "-c", f"print('TRIED', flush=True)\n{PRELUDE}\n{filled(PYTHON[attempt], outside)}"]
    )

    assert ran.text().startswith("TRIED\n")
    assert "Traceback" not in ran.text("stderr"), ran.text("stderr")
    check_held(ran, outside)
    assert ran.exit == Exit(code=77 if attempt == "forging the exit" else 0)


def test_a_fork_bomb_ends_at_the_limit(outside: Outside) -> None:
    # A low limit: an ordinary user's other tests run meanwhile, and for the kernel it is one limit for all of them.
    with closing(outside.provider.obtain(uuid4(), 1, replace(SPEC, processes=16))) as sandbox:
        ran = run(sandbox, "b() { b | b & }; b; sleep 20", seconds=20)

        refused = any(said in ran.text("stderr") for said in ("Cannot fork", "retry: Resource"))  # dash, bash
        assert refused or ran.exit in {Exit(None, "processes"), Exit(None, "time")}
        assert run(sandbox, "echo here").text() == "here\n"


def test_memory_ends_at_the_limit(sandbox: Sandbox) -> None:
    script = f"import os\nfor _ in range(5): os.fork()\nx = b'x' * {100 * 1024**2}\nimport time; time.sleep(20)"
    ran = run(sandbox, [INSIDE_PYTHON, "-c", script])

    assert ran.exit == Exit(None, "memory")


def test_setsid_forks_and_deafness_keep_nothing_alive(sandbox: Sandbox) -> None:
    sleep = marked_sleep()

    run(sandbox, f"trap '' TERM HUP; for i in 1 2 3; do setsid sh -c 'setsid {sleep} & {sleep} &' & done; exit 0")

    eventually(lambda: not alive(sleep), seconds=2)


@contextlib.contextmanager
def swapped_for(sandbox: Sandbox, folder: str | Path) -> Iterator[None]:
    """Meanwhile `d` is a folder, nothing, and a link to a folder outside, many times a second."""
    swap = f"ln -s {folder} link; while true; do mv -T d e; mv -T link d; mv -T d link; mv -T e d; done"
    script, call_id = f"mkdir d; echo inside > d/passwd; touch began; {swap}", str(uuid4())
    swapping = threading.Thread(target=run, args=(sandbox, script), kwargs={"call_id": call_id, "seconds": 60})
    swapping.start()
    eventually(lambda: "began" in run(sandbox, "ls").text())
    yield
    sandbox.end(call_id)
    swapping.join()


def test_no_read_goes_through_a_link_that_was_a_folder(sandbox: Sandbox) -> None:
    seen: dict[object, int] = Counter()
    with swapped_for(sandbox, "/etc"):
        for _ in range(600):
            try:
                seen[sandbox.read("d/passwd", most=100)] += 1
            except (FileNotFoundError, PermissionError) as error:
                seen[type(error)] += 1

    assert set(seen) == {b"inside\n", FileNotFoundError, PermissionError}


def test_no_write_goes_through_a_link_that_was_a_folder(sandbox: Sandbox, outside: Outside) -> None:
    with swapped_for(sandbox, outside.secret_file.parent):
        for _ in range(200):
            with contextlib.suppress(FileNotFoundError, PermissionError, FileExistsError, NotADirectoryError):
                sandbox.write("d/written", b"x")

    assert not (outside.secret_file.parent / "written").exists()


@pytest.mark.parametrize(
    "path", ["../{session}-evil/secret", "../../secret", "{secret_file}", "../fence", "../run/lock"]
)
def test_the_worker_reads_no_path_that_leads_out(sandbox: Sandbox, outside: Outside, path: str) -> None:
    path = path.format(session=outside.session_id, secret_file=outside.secret_file)

    with pytest.raises(PermissionError):
        sandbox.read(path, most=100)
    with pytest.raises(PermissionError):
        sandbox.write(path, b"evil")


@pytest.mark.parametrize("name", ["fifo", "socket", "device", "proc"])
def test_the_worker_waits_for_nothing_that_is_no_file(sandbox: Sandbox, name: str) -> None:
    run(sandbox, "mkfifo fifo; ln -s /dev/zero device; ln -s /proc/self/mem proc")
    run(sandbox, [INSIDE_PYTHON, "-c", "import socket; socket.socket(socket.AF_UNIX).bind('socket')"])

    with pytest.raises(PermissionError):
        sandbox.read(name, most=100)


def test_nothing_that_the_workspace_holds_is_run_outside(sandbox: Sandbox, outside: Outside) -> None:
    marker = outside.secret_file.parent / "ran-outside"
    evil = f"import pathlib; pathlib.Path({str(marker)!r}).touch()"
    hook = f"#!/bin/sh\ntouch {marker}\n"
    run(
        sandbox, "git init -q . 2>/dev/null || mkdir -p .git/hooks; mkdir -p .git/hooks .venv/lib/python3/site-packages"
    )
    config = f"[core]\n\tfsmonitor = touch {marker}\n\tpager = touch {marker}\n\thooksPath = .git/hooks\n"
    sandbox.write(".git/config", config.encode())
    for name in ("pre-commit", "post-checkout", "post-commit", "fsmonitor-watchman"):
        sandbox.write(f".git/hooks/{name}", hook.encode())
    for name in (
        "sitecustomize.py",
        "usercustomize.py",
        "conftest.py",
        "json.py",
        "selectors.py",
        "warden.py",
        "os.py",
    ):
        sandbox.write(name, evil.encode())
    sandbox.write(".venv/lib/python3/site-packages/evil.pth", evil.encode())
    for name in (".bashrc", ".profile", ".bash_profile"):
        sandbox.write(name, hook.encode())
    run(sandbox, f"chmod -R 755 .git; cp -r . {'/home/agent'}/; mkdir -p bin; cp .git/hooks/pre-commit bin/bwrap")

    later = outside.provider.obtain(outside.session_id, 2, SPEC)
    try:
        later.read("conftest.py", most=100)
        outside.provider.list()
        run(later, "true", environment={"PATH": "/workspace/bin:/usr/bin", "LD_PRELOAD": "/workspace/evil.so"})
    finally:
        later.close()
        outside.sandbox = outside.provider.obtain(outside.session_id, 3, SPEC)

    assert not marker.exists()


def test_the_loader_of_bubblewrap_takes_no_variables_of_a_command(sandbox: Sandbox) -> None:
    """It would load a library outside, before the sandbox is there."""
    ran = run(sandbox, "true", environment={"LD_DEBUG": "libs"})

    assert "bwrap" not in ran.text("stderr")
    assert "calling init" in ran.text("stderr"), "the loader of the command itself does"
