"""The limit of open files is a process's own, so each test has one."""

import subprocess
import sys

_PROGRAM = """
import logging, resource, sys
from bridge.web.open_files import allow_open_files
logging.basicConfig(format="%(message)s")
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
allow_open_files(wanted)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def limit_after(soft: int, hard: int, wanted: int) -> tuple[int, str]:
    command = [sys.executable, "-c", _PROGRAM, str(soft), str(hard), str(wanted)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(result.stdout), result.stderr


def test_a_limit_that_is_too_low_is_raised() -> None:
    assert limit_after(256, 900, 500) == (500, "")


def test_one_that_is_enough_stays() -> None:
    assert limit_after(600, 900, 500) == (600, "")


def test_what_the_system_does_not_allow_is_said() -> None:
    limit, said = limit_after(256, 400, 500)

    assert limit == 400
    assert "Only 400 files may be open" in said
