"""What the probes answer that ask only whether this process lives: /livez, and /health as the Node worker answered it.

Both use no store: a restart of this process would not bring a store back. What asks for the stores is in readiness.py.
"""

import time
from datetime import UTC, datetime
from typing import Any

STARTED = time.monotonic()  # this module is imported when the process begins


def liveness() -> dict[str, Any]:
    return {"status": "alive"}


def health() -> dict[str, Any]:
    """Three keys, which monitors of the Node worker read."""
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"status": "healthy", "uptime": uptime_seconds(), "timestamp": timestamp}


def uptime_seconds() -> float:
    return round(time.monotonic() - STARTED, 3)
