"""`python -m bridge`, which also measures the time of each claim as the bridge sees it. Nothing else differs.

Writes "epoch seconds, milliseconds, jobs" into the file BENCH_RECORDS/claims, a line per claim.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from bridge.cli.command_line import main
from bridge.postgres.job_queue import JobQueue

_claim_jobs = JobQueue.claim_jobs
_file = os.open(Path(os.environ["BENCH_RECORDS"]) / "claims", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def _timed(*arguments: Any, **named: Any) -> Any:
    began = time.perf_counter()
    claims = _claim_jobs(*arguments, **named)
    taken = 1000 * (time.perf_counter() - began)
    os.write(_file, f"{time.time()} {taken} {len(claims)}\n".encode())
    return claims


if __name__ == "__main__":
    JobQueue.claim_jobs = _timed  # type: ignore[method-assign]
    sys.exit(main())
