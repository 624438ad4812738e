"""TEST_SIZE: how much the tests try that search, and so never try everything.

Without it, what a change needs in minutes. `full` is what `make faults` runs, `nightly` more and other histories each
time; `unshrunk` is as full for who asks only whether there is a fault.
"""

import os
from typing import TypeVar

import pytest

T = TypeVar("T")

SIZE = os.environ.get("TEST_SIZE", "")
if SIZE not in {"", "full", "nightly", "unshrunk"}:
    raise pytest.UsageError(f"TEST_SIZE={SIZE} is none of: full, nightly, unshrunk")
# For a test that asks `by_size`, so that `make faults` finds it.
sized = pytest.mark.sized


def by_size(small: T, full: T) -> T:
    return full if SIZE else small
