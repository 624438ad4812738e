"""A rollout over the previous release, and back: what `python -m tests.rollout` does with more processes and jobs."""

from pathlib import Path

import pytest

from tests.rollout.rollout import Options, run


@pytest.mark.timeout(240)
def test_no_job_is_lost_or_run_twice_in_a_rollout_and_back(tmp_path: Path, empty_dsn: str, redis_url: str) -> None:
    folder = tmp_path / "rollout"
    folder.mkdir()
    options = Options(rate=20, roles=("bridge", "worker", "web"), between=5)

    outcome = run(options, empty_dsn, redis_url, folder, print)

    assert (outcome.verdict.lost, outcome.verdict.doubled) == (0, 0)
    assert outcome.verdict.jobs > 50
    assert outcome.troubles == []
