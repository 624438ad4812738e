"""A stop signal counts once, however many processes pass it on; a second one ends the process at once."""

import signal
import subprocess
import sys
import time

from bridge.runtime.signals import SAME_SIGNAL_SECONDS
from tests.support.waiting import eventually

PROGRAM = """
import time
from bridge.runtime.signals import StopSignal
stop = StopSignal()
print("ready", flush=True)
stop.wait()
print(stop.name, flush=True)
time.sleep(60)
"""


def test_a_signal_that_comes_again_at_once_is_the_same_one_and_a_later_one_ends_the_process() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        sent_at = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "SIGINT\n"

        def has_ended() -> bool:
            process.send_signal(signal.SIGTERM)
            return process.poll() is not None

        eventually(has_ended)

        assert time.monotonic() - sent_at >= SAME_SIGNAL_SECONDS
        assert process.returncode == 128 + signal.SIGTERM


BOOT = """
import select
from bridge.runtime.signals import StoppedError, StopSignal
stop = StopSignal()
try:
    with stop.raising():
        print("waits", flush=True)
        select.select([], [], [], 60)
except StoppedError:
    print(stop.name, stop.wait(0), flush=True)
try:
    with stop.raising():
        print("not this", flush=True)
except StoppedError:
    print("again", flush=True)
"""


def test_a_signal_ends_any_wait_of_a_boot() -> None:
    with subprocess.Popen([sys.executable, "-c", BOOT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGTERM)

        assert process.stdout.read() == "SIGTERM True\nagain\n"


LATE = """
import _thread, signal, threading, time
from bridge.runtime.signals import StopSignal
stop = StopSignal()
signal.signal(signal.SIGUSR1, lambda *_: None)
# As a signal that comes when the handler can no longer run before the wait: nothing interrupts the system call.
for seconds, signum in (0.1, signal.SIGUSR1), (0.3, signal.SIGTERM):
    threading.Timer(seconds, _thread.interrupt_main, [signum]).start()
print(stop.wait(30), stop.name, flush=True)
"""


def test_a_signal_on_the_last_step_before_the_wait_ends_it_and_another_kind_of_signal_does_not() -> None:
    result = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=60, check=False)

    assert result.stdout == "True SIGTERM\n", result.stderr
