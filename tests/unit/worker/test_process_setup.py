"""A worker process's log is written directly to standard error, and no line is left in a buffer."""

import subprocess
import sys

import pytest

PROCESS = """
import logging, multiprocessing, os, sys
from bridge.settings import Settings
from bridge.worker.process_setup import set_up_worker_process

settings = Settings(database_url="postgresql://h/d", redis_url="redis://h", log_format="json")


def work():
    sys.stderr = open(os.devnull, "w")  # as Dramatiq's, which leads to the parent process
    set_up_worker_process(settings, grace_seconds=60)
    logging.getLogger("bridge.worker").info("done")
    logging.getLogger("dramatiq.worker.WorkerThread").warning("Message %s was skipped.", "x")


process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join()
"""


@pytest.mark.parametrize(("arguments", "lines"), [((), 1), (("--log-file", "x"), 0), (("--log-file=x",), 0)])
def test_the_last_lines_are_written_and_bypass_the_parent_unless_it_writes_a_file(
    arguments: tuple[str, ...], lines: int
) -> None:
    process = subprocess.run(
        [sys.executable, "-c", PROCESS, *arguments], capture_output=True, text=True, check=True, timeout=30
    )

    assert process.stderr.count('"msg":"done"') == lines, process.stderr
    assert "skipped" not in process.stderr
