"""What a launcher that crashed left running is ended by the next one, and nothing else is."""

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


def test_one_that_was_remembered_is_ended_by_its_signal(tmp_path: Path, process: "subprocess.Popen[bytes]") -> None:
    remember_process(tmp_path, "redis", process.pid, signal.SIGTERM)

    assert end_leftovers(tmp_path) == ["redis"]

    assert process.wait(5) == -signal.SIGTERM
    assert end_leftovers(tmp_path) == []


def test_neither_a_forgotten_one_nor_another_under_its_number_is_ended(
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
def test_a_file_that_is_none_is_begun_anew(tmp_path: Path, text: str) -> None:
    register(tmp_path).write_text(text)

    assert end_leftovers(tmp_path) == []
    assert json.loads(register(tmp_path).read_text()) == {}
