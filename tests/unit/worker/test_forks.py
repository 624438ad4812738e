"""What happens in the copy of a worker process when an actor forks."""

import subprocess
import sys

import pytest

FORK = """
import ctypes, os
from bridge.worker.forks import end_in_copy_of
process = os.getpid()
if (copy := {fork}) == 0:
    try:
        {end}
    finally:
        end_in_copy_of(process)
        os._exit(99)
end_in_copy_of(process)
raise SystemExit(50 + os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]))
"""


@pytest.mark.parametrize("fork", ["os.fork()", "ctypes.PyDLL(None).fork()"])
@pytest.mark.parametrize(
    ("end", "code", "expected"),
    [("pass", 0, b""), ("raise SystemExit(7)", 7, b""), ("raise ValueError('no')", 1, b"ValueError: no\n")],
)
def test_a_copy_ends_as_a_script_would_and_the_process_itself_goes_on(
    fork: str, end: str, code: int, expected: bytes
) -> None:
    process = subprocess.run([sys.executable, "-c", FORK.format(fork=fork, end=end)], capture_output=True, check=False)

    assert (process.returncode, process.stderr.endswith(expected)) == (50 + code, True)
    assert bool(process.stderr) is bool(expected)
