"""The clock of leases in this process: it goes on while the machine sleeps, as the database's does."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # where the first is missing, the second counts sleep


def now() -> float:
    """Seconds from any fixed moment."""
    return time.clock_gettime(_CLOCK)


def seconds_asleep() -> float:
    """For how long this machine has slept, from any fixed moment; always the same where no clock tells."""
    return now() - time.monotonic()
