"""Replaces `tests/common.py` of Dramatiq's repository, which is not in the source archive."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dramatiq import Worker

skip_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="not on Windows")
skip_on_pypy = pytest.mark.skipif(sys.implementation.name == "pypy", reason="not on PyPy")
skip_in_ci = pytest.mark.skipif(condition=False, reason="")


@contextmanager
def worker(*args: Any, **kwargs: Any) -> Iterator[Worker]:
    worker = Worker(*args, **kwargs)
    try:
        worker.start()
        yield worker
    finally:
        worker.stop()
