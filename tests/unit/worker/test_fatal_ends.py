"""What a worker process leaves behind, however it ends. Each ends for real, in a process of its own."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from uuid import UUID

import pytest

from bridge.worker.crash_record import VARIABLE, Crash, create, take
from tests.support.commands import PLAIN

WORKER, JOB, OTHER = (UUID(int=n) for n in (1, 2, 3))
# Two threads run a job each, as in a worker; the second one does what the test says.
PROCESS = f"""
import asyncio, ctypes, faulthandler, multiprocessing, os, signal, sys, threading, time
from uuid import UUID
from bridge.job import Job, set_current_job
from bridge.worker.fatal_ends import watch_ends

record = watch_ends()
record.set_worker(UUID({str(WORKER)!r}))

def run(job, do):
    set_current_job(Job(job))
    record.begin(job)
    do()
    record.end(job)
    set_current_job(None)

def rest():
    time.sleep(60)

def do():
{{do}}

threading.Thread(target=run, args=(UUID({str(OTHER)!r}), rest), daemon=True).start()
threading.Thread(target=run, args=(UUID({str(JOB)!r}), do), daemon=True).start()
{{main}}
"""
WAIT = "time.sleep(60)"


def end(tmp_path: Path, do: str, main: str = WAIT, **environment: str) -> tuple[int, Crash | None]:
    record = tmp_path / "liveness" / "crash"
    create(record)
    code = PROCESS.format(do=textwrap.indent(do, "    "), main=main)
    ended = subprocess.run(
        [sys.executable, "-c", code], env=PLAIN | {VARIABLE: str(record)} | environment, timeout=30, check=False
    )
    crash = take(record)
    assert not record.exists()
    return ended.returncode, crash


def test_a_job_that_kills_its_process_does_not_run_on(tmp_path: Path) -> None:
    ran_on = tmp_path / "ran_on"
    do = f"""
for _ in range(100):
    threading.Thread(target=rest, daemon=True).start()  # the more threads there are, the longer are they written down
os.kill(os.getpid(), signal.SIGSEGV)
open({str(ran_on)!r}, "w").close()
"""
    for _ in range(5):
        code, crash = end(tmp_path, do)
        assert code == -signal.SIGSEGV
        assert crash is not None
        assert crash.ended_by == JOB

    assert not ran_on.exists()


@pytest.mark.parametrize(
    ("do", "code"),
    [
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("os.kill(os.getpid(), signal.SIGSEGV); time.sleep(60)", -11),
        ("os.abort()", -6),
        ("ctypes.string_at(0)", -11),
        ("signal.raise_signal(signal.SIGFPE)", -8),
        ("async def end(): os._exit(8)\nasyncio.run(end())", 8),
        ("async def end(): await asyncio.to_thread(os._exit, 9)\nasyncio.run(end())", 9),
    ],
)
def test_the_job_that_ends_its_process_is_known(tmp_path: Path, do: str, code: int) -> None:
    found, crash = end(tmp_path, do)

    assert found == code
    assert crash is not None
    assert (crash.worker, crash.ended_by) == (WORKER, JOB)


def test_a_fatal_error_is_named(tmp_path: Path) -> None:
    _, crash = end(tmp_path, "ctypes.string_at(0)")

    assert crash is not None
    assert crash.error == "Segmentation fault"


# What points at nobody: a signal from outside, and what is not seen (fatal_ends.py).
@pytest.mark.parametrize(
    ("do", "main"),
    [
        ("import subprocess; subprocess.run(['kill', '-9', str(os.getpid())])", WAIT),
        ("threading.Thread(target=os._exit, args=(7,)).start(); time.sleep(60)", WAIT),
        ("time.sleep(60)", "time.sleep(0.3); os._exit(7)"),
        ("time.sleep(60)", "time.sleep(0.3); ctypes.string_at(0)"),
        # Ends of other processes are not ours.
        ("if os.fork() == 0: os._exit(0)\ntime.sleep(60)", "time.sleep(0.5); os.kill(os.getpid(), signal.SIGKILL)"),
        (
            "multiprocessing.get_context('fork').Process(target=ctypes.string_at, args=(0,)).start()\ntime.sleep(60)",
            "time.sleep(1); os.kill(os.getpid(), signal.SIGKILL)",
        ),
        # It is survived, or over.
        (
            "signal.raise_signal(signal.SIGUSR1); os.kill(os.getpid(), signal.SIGABRT)",
            "time.sleep(0.5); os.kill(os.getpid(), signal.SIGKILL)",
        ),
        ("pass", "time.sleep(0.3); ctypes.string_at(0)"),
    ],
)
def test_what_points_at_nobody(tmp_path: Path, do: str, main: str) -> None:
    main = f"signal.signal(signal.SIGUSR1, print); signal.signal(signal.SIGABRT, lambda *_: None); {main}"
    found, crash = end(tmp_path, do, main)

    assert found != 0
    assert crash is not None
    assert (crash.worker, crash.ended_by) == (WORKER, None)


def test_who_reads_fatal_errors_goes_on_reading_them(tmp_path: Path) -> None:
    _, crash = end(tmp_path, "ctypes.string_at(0)", PYTHONFAULTHANDLER="1")

    assert crash is not None
    assert crash.ended_by is None


def test_who_said_goodbye_has_not_crashed(tmp_path: Path) -> None:
    assert end(tmp_path, "record.set_worker(None); os._exit(0)") == (0, None)


def test_a_process_without_a_file_works_all_the_same(tmp_path: Path) -> None:
    code = PROCESS.format(do="    os._exit(7)", main=WAIT)

    for environment in ({}, {VARIABLE: str(tmp_path / "absent")}):
        assert (
            subprocess.run([sys.executable, "-c", code], env=PLAIN | environment, timeout=30, check=False).returncode
            == 7
        )

    assert take(tmp_path / "absent") is None


def test_what_an_actor_starts_does_not_write_into_the_file(tmp_path: Path) -> None:
    _, crash = end(tmp_path, f"import subprocess; os._exit({VARIABLE!r} in os.environ)")

    assert crash is not None
    assert crash.pid > 0


def test_the_signal_that_is_fatal_is_a_number_too(tmp_path: Path) -> None:
    _, crash = end(tmp_path, f"os.kill(os.getpid(), {int(signal.SIGKILL)})")

    assert crash is not None
    assert crash.ended_by == JOB
