"""How long to wait before a store is tried again. Pure arithmetic.

The wait before a job's next attempt is not decided here but in Postgres (`retry_delay`), alike for every client.
"""

import random

LEAST_REST_SECONDS = 0.05  # added by those whose store may refuse at once, so that no rest is next to nothing
_BASE_SECONDS = 0.1  # a few of these are over before a restart or a failover is
_CAP_SECONDS = 5.0  # a store that is back is used again soon, and one try in 2.5 s is no load


def full_jitter(failures: int, *, base_seconds: float = _BASE_SECONDS, cap_seconds: float = _CAP_SECONDS) -> float:
    """Seconds to wait after `failures` failures in a row: random, from 0 to `base_seconds`, doubled with each more.

    The random range begins at 0, so that many processes that lost a store together return spread over time. It is small
    at first: mostly a link was cut, and the store is there.
    """
    ceiling = min(cap_seconds, base_seconds * 2 ** min(max(failures - 1, 0), 32))
    return random.uniform(0, ceiling)  # noqa: S311 -- spreads load, protects no secret
