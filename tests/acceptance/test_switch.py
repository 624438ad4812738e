"""The switch to the bridge and back with real processes, in small. With many rows: `python -m bench.switch`."""

from pathlib import Path

import pytest

from bench.switch import Switch
from bench.switch_world import World


def test_no_job_is_lost_or_run_twice_on_the_way_there_and_back(
    web_roles: None, empty_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    world = World(empty_dsn, redis_url, tmp_path)
    switch = Switch(world, print)
    try:
        switch.run(4000)
    except RuntimeError as error:
        pytest.fail(f"{error}\n{(tmp_path / 'log').read_text()[-2000:]}")
    finally:
        world.close()

    assert switch.broken == []
