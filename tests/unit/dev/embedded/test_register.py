"""Processes that a crashed launcher left running are ended by the next launcher, and no others."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.dev.embedded.register import end_leftovers, forget_process, remember_process


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def register(folder: Path) -> Path:
    return folder / "processes.json"


def test_a_registered_process_is_ended_by_its_stop_signal(tmp_path: Path, process: "subprocess.Popen[bytes]") -> None:
    remember_process(tmp_path, "redis", process.pid, signal.SIGTERM)

    assert end_leftovers(tmp_path) == ["redis"]

    assert process.wait(5) == -signal.SIGTERM
    assert end_leftovers(tmp_path) == []


def test_an_unregistered_process_or_one_with_a_reused_id_is_not_ended(
    tmp_path: Path, process: "subprocess.Popen[bytes]"
) -> None:
    remember_process(tmp_path, "redis", process.pid, signal.SIGTERM)
    forget_process(tmp_path, "redis")
    assert end_leftovers(tmp_path) == []

    remember_process(tmp_path, "redis", process.pid, signal.SIGTERM)
    entries = json.loads(register(tmp_path).read_text())
    entries["redis"]["started"] = "earlier"
    register(tmp_path).write_text(json.dumps(entries))

    assert end_leftovers(tmp_path) == []
    assert process.poll() is None


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_malformed_register_is_replaced(tmp_path: Path, text: str) -> None:
    register(tmp_path).write_text(text)

    assert end_leftovers(tmp_path) == []
    assert json.loads(register(tmp_path).read_text()) == {}
