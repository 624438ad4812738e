"""What a measurement needs: the stores, a folder, the plan, and a list of failures."""

import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.plan import Plan
from bench.stores import Stores

_BEGAN = time.monotonic()


def say(text: str) -> None:
    """Print progress to standard error, because standard output is for data only."""
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Run:
    stores: Stores
    work: Path
    plan: Plan
    failed: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """One part of the run. A failure is noted and ends only this part, because the other parts took long enough."""
        say(name)
        try:
            yield
        except Exception as error:  # noqa: BLE001 -- whatever it was, it is in the report and in the exit code
            traceback.print_exc()
            self.failed[name] = " ".join(f"{type(error).__name__}: {error}".split())
