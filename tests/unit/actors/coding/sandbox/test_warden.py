"""The warden by itself, as a program: what it is told, what it writes, and when it ends everything."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors.coding.sandbox import warden
from tests.support.waiting import eventually

WARDEN = Path(warden.__file__)
ROOMY = {"seconds": 20, "memory_mb": 512, "processes": 64, "file_mb": 10}


class Warden:
    """A warden at work; `status` has the lines that it wrote, when it has ended."""

    def __init__(self, scripts: Sequence[str], folder: Path, worker: int, *program: str, **limits: float) -> None:
        read, write = os.pipe()
        self._lines = os.fdopen(read, "rb")
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", *(program or [str(WARDEN)]), str(write)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(write,),
            cwd=folder,
            start_new_session=True,
        )
        os.close(write)
        assert self.process.stdin is not None
        self._input = self.process.stdin
        self._write(
            json.dumps({"worker": worker, "commands": [["/bin/sh", "-c", one] for one in scripts], **ROOMY, **limits})
        )

    def status(self) -> list[dict[str, Any]]:
        found = []
        for line in self._lines:
            found.append(json.loads(line))
            self._write("")  # the output of the script was passed on: the next one may begin
        return found

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self._lines.close()
        with suppress(BrokenPipeError):
            self._input.close()

    def _write(self, line: str) -> None:
        with suppress(BrokenPipeError):  # it has ended
            self._input.write(line.encode() + b"\n")
            self._input.flush()


@pytest.fixture
def started() -> Iterator[list[Warden]]:
    wardens: list[Warden] = []
    yield wardens
    for one in wardens:
        one.end()


@pytest.fixture
def others() -> Iterator[Callable[[int], None]]:
    """Begins so many processes of this account. They end with the test, also when it fails."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(count: int) -> None:
        # One by one: when one is refused, those before it are in the list.
        begun.extend(subprocess.Popen(["sleep", "60"]) for _ in range(count))

    yield begin
    for other in begun:
        other.kill()
        other.wait()


def test_it_says_how_each_script_ended_until_one_fails(tmp_path: Path, started: list[Warden]) -> None:
    one = Warden(["true", "exit 3", "touch never"], tmp_path, os.getpid())
    started.append(one)

    assert one.status() == [{"exit": 0}, {"exit": 3}]
    assert one.process.wait(10) == 0
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(("limits", "named"), [({"seconds": 0.5}, "time (0.5 s)"), ({"processes": 2}, "processes (2)")])
def test_it_names_the_limit_that_was_broken(
    tmp_path: Path, started: list[Warden], limits: dict[str, float], named: str
) -> None:
    one = Warden(["sleep 60 & sleep 60 & sleep 60 & sleep 60"], tmp_path, os.getpid(), **limits)
    started.append(one)

    assert one.status() == [{"exit": None, "limit": named}]
    assert one.process.wait(10) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="the kernel's limit does not apply to root")
def test_what_else_the_account_runs_leaves_room(
    tmp_path: Path, started: list[Warden], others: Callable[[int], None]
) -> None:
    script = "touch begun; while ! [ -e go_on ]; do sleep 0.01; done; for i in $(seq 20); do sleep 60 & done"
    # Room for the other tests of this account as well: a fork bomb and some launchers may begin meanwhile.
    one = Warden([script], tmp_path, os.getpid(), processes=40)
    started.append(one)
    eventually((tmp_path / "begun").exists)
    others(100)
    (tmp_path / "go_on").touch()

    assert one.status() == [{"exit": 0}]


BLIND = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import warden

warden.processes_of = lambda _: 0
sys.exit(warden.main())
"""


@pytest.mark.skipif(os.geteuid() == 0, reason="the kernel's limit does not apply to root")
def test_what_the_account_runs_in_other_containers_leaves_room(
    tmp_path: Path, started: list[Warden], others: Callable[[int], None]
) -> None:
    """Nothing shows it, but the kernel counts it."""
    others(200)
    one = Warden(["sleep 0"], tmp_path, os.getpid(), "-c", BLIND, str(WARDEN.parent), processes=8)
    started.append(one)

    assert one.status() == [{"exit": 0}]


def test_a_stop_signal_ends_what_it_started(tmp_path: Path, started: list[Warden]) -> None:
    one = Warden(["sleep 60 & sleep 60"], tmp_path, os.getpid())
    started.append(one)
    below: list[psutil.Process] = []

    def begun() -> bool:
        below[:] = psutil.Process(one.process.pid).children(recursive=True)
        return sum(child.name() == "sleep" for child in below) == 2

    eventually(begun)
    one.process.send_signal(signal.SIGTERM)

    assert one.process.wait(10) == 1
    assert not any(child.is_running() for child in below)


@pytest.mark.skipif(not warden.ON_LINUX, reason="others do not tell a child whose it is")
def test_it_begins_nothing_for_a_worker_that_is_gone(tmp_path: Path, started: list[Warden]) -> None:
    one = Warden(["touch begun"], tmp_path, worker=os.getpid() + 1)
    started.append(one)

    assert one.process.wait(10) == 1
    assert one.status() == []
    assert not (tmp_path / "begun").exists()


@pytest.mark.skipif(not warden.ON_LINUX, reason="reads /proc")
def test_descendants_are_those_that_live() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & wait"]) as shell, subprocess.Popen(["true"]) as over:
        try:
            eventually(lambda: len(warden.descendants(shell.pid, 10)) == 1)
            eventually(lambda: warden.is_zombie(over.pid))

            ours = warden.descendants(os.getpid(), 100)
            assert {shell.pid, *warden.descendants(shell.pid, 10)} <= set(ours)
            assert over.pid not in ours
            assert len(warden.descendants(os.getpid(), 1)) >= 1
            assert warden.resident_bytes(shell.pid) > 0
        finally:
            for pid in warden.descendants(shell.pid, 10):
                warden.kill(pid)
    assert warden.descendants(shell.pid, 10) == []
    assert warden.resident_bytes(shell.pid) == 0
    warden.kill(shell.pid)  # who is gone is left alone


def test_a_limit_is_never_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (50, 100))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: set_to.append(pair))

    warden.limit(resource.RLIMIT_FSIZE, 200)
    warden.limit(resource.RLIMIT_FSIZE, 70)

    assert set_to == [(100, 100), (70, 70)]
