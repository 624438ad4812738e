"""A kill point fires where it was configured, and nowhere else."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.runtime.kill_points import KILL_POINTS, arm

BRIDGE = Path(__file__).parents[3] / "bridge"
ARMED = {"MOBVIBE_TEST_BUILD": "1", "MOBVIBE_KILL_POINT": "publish.sent:3"}


def passes_until_death(environment: dict[str, str], name: str = "publish.sent") -> int | None:
    deaths: list[int] = []
    pass_by = arm(environment, lambda: deaths.append(1))
    for passed in range(1, 10):
        pass_by("claim.committed")
        pass_by(name)
        if deaths:
            return passed
    return None


def test_a_kill_point_fires_at_the_configured_pass() -> None:
    assert passes_until_death(ARMED) == 3
    assert passes_until_death(ARMED | {"MOBVIBE_KILL_POINT": "publish.sent"}) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"MOBVIBE_TEST_BUILD": ""},
        {"MOBVIBE_TEST_BUILD": "true"},
        {"MOBVIBE_KILL_POINT": ""},
        {"MOBVIBE_KILL_POINT": "publish.sent:0"},
        {"MOBVIBE_KILL_POINT": "publish.sent; rm"},
        {"MOBVIBE_KILL_POINT": "start.committed"},
        {"NODE_ENV": "production"},
        {"APP_ENV": " Production "},
        {"NODE_ENV": "staging"},
    ],
)
def test_a_kill_point_does_not_fire_when_one_condition_is_missing(changed: dict[str, str]) -> None:
    assert passes_until_death(ARMED | changed) is None


def test_the_process_dies_at_once_without_output() -> None:
    program = "from bridge.runtime.kill_points import kill_point; kill_point('publish.sent'); print('alive')"
    environment = {"PATH": os.environ["PATH"]} | ARMED | {"MOBVIBE_KILL_POINT": "publish.sent:1"}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=BRIDGE.parent, env=environment, capture_output=True, check=False
    )
    assert result.returncode == -signal.SIGKILL
    assert result.stdout == result.stderr == b""


def test_every_point_is_in_the_code_once_and_every_call_names_one() -> None:
    used = [
        name
        for path in BRIDGE.rglob("*.py")
        for name in re.findall(r'^ +kill_point\("([^"]*)"\)$', path.read_text(), re.MULTILINE)
    ]
    assert sorted(used) == sorted(set(KILL_POINTS) - {"effect.done"})
