"""Clock for lease deadlines: it keeps running while the machine is suspended, as the database's clock does."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # on systems without the first, the second counts sleep


def now() -> float:
    """Seconds since a fixed moment in the past."""
    return time.clock_gettime(_CLOCK)


def seconds_asleep() -> float:
    """Seconds that this machine was suspended, since a fixed moment; constant where no clock measures it."""
    return now() - time.monotonic()
