"""Sandboxes of bubblewrap on this machine, with real commands."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from dramatiq.middleware import Interrupt, raise_thread_exception

from actors.coding.sandbox import bubblewrap, local
from actors.coding.sandbox.base import SandboxError, SandboxSetupError
from actors.coding.sandbox.local import LocalProvider
from tests.support.sandboxes import SPEC, Ran, alive, local_provider, marked_sleep, run
from tests.support.waiting import eventually
from tests.unit.actors.coding.sandbox.contract import ProviderContract


class TestLocalProvider(ProviderContract):
    @pytest.fixture
    def provider(self, tmp_path: Path) -> LocalProvider:
        return local_provider(tmp_path / "workspaces")


class TestWithoutBubblewrap(ProviderContract):
    """For development: all that is promised, but for the walls."""

    @pytest.fixture
    def provider(self, tmp_path: Path) -> LocalProvider:
        return LocalProvider(tmp_path / "workspaces", is_confined=False)


@pytest.fixture
def provider(tmp_path: Path) -> LocalProvider:
    return local_provider(tmp_path / "workspaces")


WORKER = """
import sys, types
from pathlib import Path
from uuid import UUID
sys.modules["actors"] = types.ModuleType("actors")  # which would take seconds to import
sys.modules["actors"].__path__ = ["actors"]
from actors.coding.sandbox.base import Spec
from actors.coding.sandbox.local import LocalProvider

spec = Spec(memory_mb=512, processes=64, file_mb=10)
sandbox = LocalProvider(Path(sys.argv[1])).obtain(UUID(sys.argv[2]), int(sys.argv[3]), spec)
print("ready", flush=True)
show = lambda stream, data: print(data.decode(), end="", flush=True)
sandbox.run("call", ["sh", "-c", sys.argv[4]], show, seconds=60)
"""


class Worker:
    """Another process of this machine, with a command in a sandbox."""

    def __init__(self, provider: LocalProvider, session_id: UUID, fence: int, script: str) -> None:
        arguments = [str(provider._workspaces), str(session_id), str(fence), script]
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[5],
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> str:
        """What it said on its error output."""
        self.process.kill()
        return self.process.communicate()[1]


@pytest.mark.parametrize("how", ["one", "detached", "many", "deaf"])
def test_nothing_is_alive_half_a_second_after_the_worker_was_killed(provider: LocalProvider, how: str) -> None:
    session_id, sleep = uuid4(), marked_sleep()
    script = {
        "one": f"echo began; {sleep}",
        "detached": f"setsid sh -c 'setsid {sleep} & {sleep}' & echo began; wait; {sleep}",
        "many": f"for i in $(seq 40); do {sleep} & done; echo began; wait",
        "deaf": f"trap '' TERM HUP INT; echo began; {sleep}; {sleep}",
    }[how]
    worker = Worker(provider, session_id, 1, script)
    assert (worker.line(), worker.line()) == ("ready", "began")
    eventually(lambda: alive(sleep))

    worker.kill()

    eventually(lambda: not alive(sleep), seconds=0.5, what="the processes to end")
    eventually(lambda: not provider.list()[0].is_running, what="the daemon to end")
    later = provider.obtain(session_id, 2, SPEC)
    assert not later.has("call"), "nobody knows what it has done"
    assert run(later, "echo here").text() == "here\n"
    later.close()


def test_a_zombie_in_another_process_can_run_nothing_more(provider: LocalProvider) -> None:
    session_id, sleep = uuid4(), marked_sleep()
    zombie = Worker(provider, session_id, 1, f"echo began; {sleep}")
    assert (zombie.line(), zombie.line()) == ("ready", "began")
    zombie.process.send_signal(signal.SIGSTOP)

    sandbox = provider.obtain(session_id, 2, SPEC)

    assert not alive(sleep)
    zombie.process.send_signal(signal.SIGCONT)
    assert "CallRefusedError" in zombie.process.communicate()[1]
    late = Worker(provider, session_id, 1, "touch late")
    assert "CallRefusedError" in late.process.communicate()[1]
    assert run(sandbox, "ls").text() == ""
    sandbox.close()


def test_the_end_of_the_daemon_is_the_end_of_its_commands(provider: LocalProvider) -> None:
    session_id, sleep, ran = uuid4(), marked_sleep(), Ran()
    sandbox = provider.obtain(session_id, 1, SPEC)
    with ThreadPoolExecutor(1) as threads:
        waits = threads.submit(sandbox.run, "c", ["sh", "-c", f"echo began; {sleep}"], ran, seconds=60)
        eventually(lambda: ran.text() == "began\n")
        provider._daemons[session_id].kill()
        with pytest.raises(SandboxError, match="has ended"):
            waits.result()

    eventually(lambda: not alive(sleep), seconds=2)
    again = provider.obtain(session_id, 1, SPEC)
    assert run(again, "echo here").text() == "here\n"
    again.close()


def test_a_thread_that_ends_does_not_end_the_sandbox_that_it_obtained(provider: LocalProvider) -> None:
    session_id = uuid4()
    with ThreadPoolExecutor(1) as threads:
        sandbox = threads.submit(provider.obtain, session_id, 1, SPEC).result()

    assert run(sandbox, "echo here").text() == "here\n"
    sandbox.close()


def test_an_interrupt_reaches_the_thread_that_waits_for_a_command(provider: LocalProvider) -> None:
    sandbox, ran, ended = provider.obtain(uuid4(), 1, SPEC), Ran(), []

    def work() -> None:
        try:
            sandbox.run("c", ["sh", "-c", "echo began; sleep 60"], ran, seconds=60)
        except Interrupt:
            ended.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    eventually(lambda: ran.text() == "began\n")

    asked = time.monotonic()
    raise_thread_exception(thread.ident, Interrupt)

    thread.join(5)
    assert ended and ended[0] - asked < 1
    sandbox.close()


def test_folders_may_be_deep_and_closed_to_the_account_of_the_commands(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    provider = local_provider(closed / ("long" * 30) / "workspaces")
    sandbox = provider.obtain(uuid4(), 1, SPEC)

    assert run(sandbox, "echo here > file; cat file; stat -c '%u %a' . file").text() == "here\n1000 700\n1000 644\n"
    sandbox.close()


def test_read_only_folders_are_destroyed_too(provider: LocalProvider) -> None:
    session_id = uuid4()
    sandbox = provider.obtain(session_id, 1, SPEC)
    run(
        sandbox,
        "mkdir -p a/b/c; touch a/b/c/file; ln -s / root; ln -s nowhere broken; chmod 000 a/b/c; chmod 500 a a/b",
    )
    sandbox.close()

    provider.destroy(session_id)

    assert provider.list() == []
    assert list(provider._workspaces.iterdir()) == []


def test_what_is_no_sandbox_in_the_folder_is_not_listed(provider: LocalProvider) -> None:
    provider._workspaces.mkdir()
    (provider._workspaces / "a-b-c-d-e").mkdir()
    (provider._workspaces / str(uuid4())).mkdir()

    assert provider.list() == []


def test_without_bubblewrap_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SandboxSetupError, match="^bubblewrap.* is not installed: apt-get install bubblewrap") as raised:
        LocalProvider(tmp_path).check()

    assert "\n" not in str(raised.value)


@pytest.fixture
def unconfined(tmp_path: Path) -> LocalProvider:
    return LocalProvider(tmp_path / "workspaces", is_confined=False)


def test_one_line_says_that_no_process_is_to_be_had_for_the_daemon(
    unconfined: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id, before = uuid4(), len(opened())

    def refused(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(subprocess, "Popen", refused)
        with pytest.raises(SandboxError, match=f"^the sandbox does not start: {os.strerror(errno.EAGAIN)}$"):
            unconfined.obtain(session_id, 1, SPEC)

    assert len(opened()) == before
    sandbox = unconfined.obtain(session_id, 1, SPEC)
    assert run(sandbox, "echo here").text() == "here\n"
    sandbox.close()


def test_one_line_says_that_the_daemon_ended_before_it_had_its_order(
    unconfined: LocalProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the kernel kills it, because memory is short."""
    session_id, before, popen = uuid4(), len(opened()), subprocess.Popen
    daemons: list[subprocess.Popen[bytes]] = []

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        daemons.append(popen(*arguments, **options))
        os.waitid(os.P_PID, daemons[-1].pid, os.WEXITED | os.WNOWAIT)
        return daemons[-1]

    with monkeypatch.context() as meanwhile:
        (tmp_path / "ends.py").touch()
        meanwhile.setattr(local, "DAEMON", tmp_path / "ends.py")
        meanwhile.setattr(subprocess, "Popen", start)
        with pytest.raises(SandboxError, match="^the sandbox does not start: no answer$"):
            unconfined.obtain(session_id, 1, SPEC)

    assert [daemon.returncode for daemon in daemons] == [0]
    assert len(opened()) == before
    sandbox = unconfined.obtain(session_id, 1, SPEC)
    assert run(sandbox, "echo here").text() == "here\n"
    sandbox.close()


def test_no_daemon_is_started_that_gets_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise SandboxSetupError("bubblewrap is not installed")

    def start(*_: object, **__: object) -> None:
        pytest.fail("a daemon was started")

    monkeypatch.setattr(bubblewrap, "path", missing)
    monkeypatch.setattr(subprocess, "Popen", start)

    with pytest.raises(SandboxSetupError, match="^bubblewrap is not installed$"):
        LocalProvider(tmp_path / "workspaces").obtain(uuid4(), 1, SPEC)


def opened() -> list[Path]:
    return list(Path("/proc/self/fd").iterdir())
