"""A process ends when its parent does, and finds its own child processes."""

import os
import signal
import subprocess
import sys

import pytest

from bridge.runtime.parent_watch import children_of
from tests.support.waiting import eventually

PARENT = """
import signal, subprocess, sys
from bridge.runtime.parent_watch import dies_with_parent
child = subprocess.Popen(["sleep", "60"], preexec_fn=dies_with_parent(signal.SIGTERM))
print(child.pid, flush=True)
sys.stdin.read()
"""
CHILD = """
import os, sys, time
from bridge.runtime.parent_watch import watch_parent
if (pid := os.fork()) == 0:
    watch_parent(grace_seconds=60, interval_seconds=0.05)
    time.sleep(60)
print(pid, flush=True)
sys.stdin.read()
"""


def test_a_process_whose_parent_died_before_it_could_watch_ends_too() -> None:
    script = "import time; from bridge.runtime.parent_watch import watch_parent; "
    script += "watch_parent(60, 0.05, parent={}); time.sleep(60)"
    gone = subprocess.Popen(["true"])
    gone.wait()

    process = subprocess.run([sys.executable, "-c", script.format(gone.pid)], timeout=30, check=False)

    assert process.returncode == -signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's kernel and /proc")
def test_children_are_the_live_child_processes() -> None:
    child = subprocess.Popen(["sleep", "60"])
    assert child.pid in children_of(os.getpid())

    child.kill()

    eventually(lambda: child.pid not in children_of(os.getpid()), what="the end of the child")
    child.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's kernel and /proc")
@pytest.mark.parametrize("script", [PARENT, CHILD], ids=["by the kernel", "by looking"])
def test_a_child_ends_when_its_parent_was_killed(script: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent.stdin, parent.stdout:
        child = int(parent.stdout.readline())
        assert children_of(parent.pid) == [child]

        parent.send_signal(signal.SIGKILL)
        parent.wait()

        eventually(lambda: not is_alive(child), what="the end of the child")


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 -- one line of /proc
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
