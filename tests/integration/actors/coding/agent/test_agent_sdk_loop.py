"""Claude Code beside a turn, as a process. What the runner has in common with others is in unit/…/test_turn_loop.py."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from actors.coding.agent.agent_sdk import model
from actors.coding.agent.agent_sdk_loop import AgentSdkLoop
from actors.coding.agent.runner import Finished
from bridge import NotOursError, Retry
from tests.support.agent_sdk import claude_code
from tests.support.ended import has_ended
from tests.support.fake_anthropic import FakeAnthropic
from tests.support.scripted_replies import Reply
from tests.support.stage import Stage
from tests.support.waiting import eventually

KEY = "sk-made-up-geheim"
SILENT = [Reply([{"text": "Hello there"}], silent_after=4, faulty=9)]
SLEEP = [Reply([{"tool": "bash", "input": {"command": "sleep 60"}}]), Reply([{"text": "Awake."}])]
ECHO = [
    Reply([{"tool": "bash", "input": {"command": "echo one >> log; sleep 1"}}]),
    Reply([{"text": "Done."}]),
]


def started_by(pid: int) -> list[psutil.Process]:
    """The processes of Claude Code that are children of this one."""
    return [one for one in psutil.Process(pid).children() if one.name().startswith("claude")]


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.kill()


def during(action: Callable[[], None], *, after: Callable[[], object]) -> threading.Thread:
    def act() -> None:
        after()
        action()

    thread = threading.Thread(target=act)
    thread.start()
    return thread


@contextmanager
def worker(fake: FakeAnthropic, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "tests.support.agent_sdk_turn",
        str(claude_code()),
        fake.url,
        str(folder),
        "Hello?",
    ]
    environment = {**os.environ, "ANTHROPIC_API_KEY": KEY, "DATABASE_URL": "postgresql://u:geheim@127.0.0.1:9/n"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("replies", [SILENT, SLEEP], ids=["asking", "in a call"])
def test_it_dies_with_the_worker_and_asks_nothing_more(tmp_path: Path, replies: list[Reply]) -> None:
    with FakeAnthropic(replies, key=KEY) as fake, worker(fake, tmp_path) as process:
        eventually(lambda: len(fake.requests) == 1, seconds=60, what="a request")
        [code] = started_by(process.pid)

        process.kill()
        killed = time.monotonic()
        eventually(lambda: has_ended(code), what="its death")

        assert time.monotonic() - killed < 0.5
        assert len(fake.requests) == 1


def test_it_has_neither_the_key_nor_the_workers_environment(tmp_path: Path) -> None:
    with FakeAnthropic(SILENT, key=KEY) as fake, worker(fake, tmp_path) as process:
        eventually(lambda: fake.requests, seconds=60, what="a request")
        [code] = started_by(process.pid)

        assert "geheim" not in str((code.environ(), code.cmdline()))
        assert code.environ()["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")
        assert KEY in str(fake.requests[0].headers), "the worker has asked"


@pytest.mark.parametrize("replies", [SILENT, SLEEP], ids=["asking", "in a call"])
def test_a_cancel_ends_it_at_once(tmp_path: Path, replies: list[Reply]) -> None:
    stage = Stage(tmp_path, "Hello?")
    cancelled: list[float] = []

    def cancel() -> None:
        cancelled.append(time.monotonic())
        stage.cancel()

    with FakeAnthropic(replies, key=KEY) as fake:
        canceller = during(
            cancel, after=lambda: eventually(lambda: stage.sandbox._running or stage.shown(), seconds=60)
        )
        with pytest.raises(NotOursError):
            stage.run(AgentSdkLoop(claude_code(), KEY, fake.url))
        assert time.monotonic() - cancelled[0] < 1
        canceller.join()

    assert not started_by(os.getpid())


def test_a_cancel_while_it_starts_ends_it_at_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "Hello?")
    with FakeAnthropic(SILENT, key=KEY) as fake:
        canceller = during(stage.cancel, after=lambda: eventually(lambda: started_by(os.getpid()), seconds=60))
        with pytest.raises(NotOursError):
            stage.run(AgentSdkLoop(claude_code(), KEY, fake.url))
        canceller.join()
        assert fake.requests == []

    assert not started_by(os.getpid())


def test_its_death_is_tried_again_and_no_call_is_repeated(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "Hello?")
    with FakeAnthropic(ECHO, key=KEY) as fake:
        agent = AgentSdkLoop(claude_code(), KEY, fake.url)
        killer = during(
            lambda: kill(started_by(os.getpid())),
            after=lambda: eventually(lambda: stage.sandbox._running, seconds=60),
        )
        with pytest.raises(Retry, match="^Claude Code has ended: "):
            stage.run(agent)
        killer.join()

        assert stage.run(agent) == Finished("Done.")
        assert (tmp_path / "log").read_text() == "one\n"
        assert len(fake.requests) == 2


@pytest.mark.parametrize(("program", "said"), [("/bin/false", "has ended"), ("/bin/nothing", "has ended: .*nothing")])
def test_a_program_that_does_not_run_is_said_in_one_line(tmp_path: Path, program: str, said: str) -> None:
    claude_code()
    with pytest.raises(Retry, match=f"^Claude Code {said}") as raised:
        Stage(tmp_path, "Hello?").run(AgentSdkLoop(Path(program), KEY, "http://127.0.0.1:9"))

    assert "\n" not in str(raised.value)
    assert KEY not in str(raised.value)


def test_a_program_that_asks_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claude_code()
    monkeypatch.setattr(model, "_REQUEST_SECONDS", 2.0)
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)

    with pytest.raises(Retry, match="did not ask the model within 2 s"):
        Stage(tmp_path, "Hello?").run(AgentSdkLoop(silent, KEY, "http://127.0.0.1:9"))


def test_it_leaves_no_file_and_no_line_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "workspace").mkdir()
    with FakeAnthropic([Reply([{"text": "Hello"}])], key=KEY) as fake:
        Stage(tmp_path / "workspace", "Hello?").run(AgentSdkLoop(claude_code(), KEY, fake.url))

    assert [path.name for path in tmp_path.iterdir()] == ["workspace"]
    assert [line for line in caplog.records if line.levelno >= logging.WARNING] == []
