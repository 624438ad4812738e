"""Coding sessions under kills: what `make faults` does at its full size."""

import pytest

from tests.storm.report import as_text
from tests.storm.storm import Options, run
from tests.storm.world import Size, open_world


@pytest.mark.acceptance
@pytest.mark.timeout(240)
def test_sessions_survive_kills_and_zombies(dsn: str, redis_url: str) -> None:
    size = Size(supervised=0, plain=3, threads=2)
    options = Options(kills=12, zombies=4, minutes=0.3, seed=7, rate=3, size=size)

    with open_world(size, dsn, redis_url) as world:
        outcome = run(options, world)

    said = as_text(outcome)
    assert outcome.verdict.holds, said
    assert not outcome.strikes.alive_afterwards, said
    assert outcome.strikes.kills > 0, said
    assert outcome.settled_in is not None, said
