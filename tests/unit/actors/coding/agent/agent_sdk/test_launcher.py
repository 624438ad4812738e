import os
import subprocess
import sys
import threading

import psutil

from actors.coding.agent.agent_sdk import launcher
from tests.support.waiting import eventually

START = [sys.executable, "-I", "-S", launcher.__file__]


def test_it_becomes_the_program() -> None:
    started = subprocess.run([*START, str(os.getpid()), "/bin/echo", "a", "b c"], capture_output=True, check=True)

    assert started.stdout == b"a b c\n"


def test_the_program_dies_with_the_thread_that_started_it() -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        started.append(subprocess.Popen([*START, str(os.getpid()), "/bin/sleep", "60"]))
        eventually(lambda: psutil.Process(started[0].pid).name() == "sleep", what="the program")

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert started[0].wait(5) == -9


def test_a_program_whose_starter_is_gone_already_does_not_start() -> None:
    started = subprocess.run([*START, str(os.getppid()), "/bin/echo"], capture_output=True, check=False)

    assert (started.returncode, started.stdout) == (1, b"")
