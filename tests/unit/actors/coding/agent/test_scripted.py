"""The stand-in says what it is. What it has in common with other agents is in test_turn_loop.py."""

import logging
from pathlib import Path

import pytest

from actors.coding.agent.runner import Finished
from actors.coding.agent.scripted import STAND_IN, Scripted, ScriptFailedError
from tests.support.stage import Stage

SCRIPTED = Scripted(piece_seconds=0)


def test_each_text_and_each_log_line_says_that_it_is_a_stand_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(tmp_path, "```sh\necho a\n```\n```sh\necho b\n```")
    with caplog.at_level(logging.INFO):
        ending = stage.run(SCRIPTED)

    texts = [block["text"] for one in stage.record.stored[1:] for block in one.content if block["type"] == "text"]
    assert len(texts) == 3
    assert all(text.startswith(STAND_IN) for text in texts)
    assert caplog.messages
    assert all(line.startswith(STAND_IN) for line in caplog.messages)
    assert isinstance(ending, Finished)
    assert ending.summary.startswith(STAND_IN)
    assert stage.shown().startswith(STAND_IN)


def test_a_block_that_fails_fails_each_attempt_and_runs_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "```sh\necho once >> log; exit 3\n```\n```sh\ntouch ran\n```")

    for _ in range(2):
        with pytest.raises(ScriptFailedError, match=f"{STAND_IN}: block 1 failed"):
            stage.run(SCRIPTED)

    assert (tmp_path / "log").read_text() == "once\n"
    assert not (tmp_path / "ran").exists()


def test_without_a_block_it_writes_a_file(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "Make me an app.")

    stage.run(SCRIPTED)

    assert "Make me an app." in (tmp_path / "stand-in.md").read_text()


def test_each_turn_has_its_own_steps(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "```sh\necho first >> log\n```")
    stage.run(SCRIPTED)
    stage.record.inbox = ["```sh\necho second >> log\n```"]

    stage.run(SCRIPTED)

    assert (tmp_path / "log").read_text() == "first\nsecond\n"
