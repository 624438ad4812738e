"""Real processes follow a primary that Sentinels watch: what `python -m bench.failover` does with more processes."""

from pathlib import Path

import pytest

from tests.support.failovers import run
from tests.support.redis_groups import watched

_OURS_SECONDS = 8.0  # of a pause; the Sentinels need as long as they need on a busy machine


@pytest.mark.timeout(240)
def test_no_job_is_lost_or_run_twice_when_the_primary_dies_and_loses_what_it_acknowledged(
    tmp_path: Path, empty_dsn: str
) -> None:
    folder = tmp_path / "failover"
    folder.mkdir()

    with watched(tmp_path / "redis") as group:
        kinds, roles = ("kill", "lost writes"), ("bridge", "worker", "web")
        outcome = run(kinds, empty_dsn, group, folder, rate=20, roles=roles, between=5)

    assert (outcome.verdict.lost, outcome.verdict.doubled, outcome.troubles) == (0, 0, [])
    assert outcome.verdict.jobs > 50
    ours = [pause - chosen for pause, chosen in zip(outcome.pauses, outcome.chosen, strict=True)]
    assert max(ours) < _OURS_SECONDS, (outcome.pauses, outcome.chosen)
