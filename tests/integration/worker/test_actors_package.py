"""An actors package that is missing, has a mistake or never connects: one line that says where, or what to do."""

import time
from pathlib import Path

import pytest

from bridge.worker.actors_package import import_error
from tests.support.commands import Run


def test_a_missing_actors_package_is_reported_once(run: Run) -> None:
    result = run("worker", ACTORS_MODULE="nowhere", LOG_FORMAT="json")

    assert result.code == 2
    assert result.err.strip().splitlines()[-1] == (
        "mobvibe: The actors package 'nowhere' cannot be imported (ModuleNotFoundError: No module named 'nowhere'). "
        "Run from the folder that holds it, or set ACTORS_MODULE."
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import bridge\nundefined_name", "tasks/reports.py:2: NameError: name 'undefined_name' is not defined"),
        ("def broken(:", "tasks/reports.py:1: SyntaxError: "),
        ("import pandas_x", "tasks/reports.py:1: ModuleNotFoundError: No module named 'pandas_x'"),
        ("import bridge.nothing", "tasks/reports.py:1: ModuleNotFoundError: No module named 'bridge.nothing'"),
        ("import dramatiq\n\n\n@dramatiq.actor(que_name='x')\ndef a(): ...", "tasks/reports.py:4: ValueError: "),
        ("raise SystemExit('no')", "no"),
    ],
)
def test_an_actors_package_with_a_mistake_in_it_is_one_line_with_its_place(
    run: Run, tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/__init__.py").write_text(
        "from bridge.broker import connect_broker\nconnect_broker()\nfrom tasks import reports"
    )
    (tmp_path / "tasks/reports.py").write_text(text)

    result = run("worker", ACTORS_MODULE="tasks")

    assert result.code == 2
    last = result.err.splitlines()[-1]
    assert last.startswith(f"mobvibe: The actors package 'tasks' cannot be imported: {reason}")
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "text",
    [
        "import dramatiq\n\n\n@dramatiq.actor\ndef hello(): ...",
        "import dramatiq\nfrom dramatiq.brokers.stub import StubBroker\ndramatiq.set_broker(StubBroker())",
    ],
    ids=["an actor", "another broker"],
)
def test_an_actors_package_that_never_connects_is_one_line_that_says_how(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "tasks.py").write_text(text)

    result = run("worker", ACTORS_MODULE="tasks")

    assert result.code == 2
    assert result.one_line() == (
        "mobvibe: The actors package 'tasks' never calls connect_broker(), so its actors belong to another broker. "
        "Put this first in its __init__.py: from bridge.broker import connect_broker; connect_broker()"
    )


@pytest.mark.parametrize(
    "text",
    [
        "import threading, time\nthreading.Thread(target=time.sleep, args=(300,)).start()",
        "import subprocess\nhelper = subprocess.Popen(['sleep', '20'])",
    ],
)
def test_threads_and_processes_of_an_actors_package_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "tasks.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()

    trouble = import_error("tasks")

    assert trouble is not None
    assert "never calls connect_broker()" in trouble
    assert time.monotonic() - began < 15, "not until the thread or the process it started has ended"
