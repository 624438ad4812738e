"""How long to wait before trying a store again. Pure arithmetic.

The wait before a job's next attempt is decided in Postgres (`retry_delay`), for every client alike.
"""

import random


def full_jitter(failures: int, *, base_seconds: float = 0.1, cap_seconds: float = 5.0) -> float:
    """Seconds to wait after `failures` failures in a row: anywhere between 0 and the doubled base.

    The whole range is used, so that many processes that lost a store together come back spread out.
    """
    ceiling = min(cap_seconds, base_seconds * 2 ** min(failures, 32))
    return random.uniform(0, ceiling)  # noqa: S311 -- spreads load, guards nothing
