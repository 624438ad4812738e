"""How long to wait before a store is tried again. Pure arithmetic.

The wait before a job's next attempt is not decided here but in Postgres (`retry_delay`), alike for every client.
"""

import random


def full_jitter(failures: int, *, base_seconds: float = 0.1, cap_seconds: float = 5.0) -> float:
    """Seconds to wait after `failures` failures in a row: random, from 0 to `base_seconds` doubled once per failure.

    The random range begins at 0, so that many processes that lost a store together return spread over time.
    """
    ceiling = min(cap_seconds, base_seconds * 2 ** min(failures, 32))
    return random.uniform(0, ceiling)  # noqa: S311 -- spreads load, protects no secret
