"""Log lines of a busy process: those of a few milliseconds are written together, a warning at once."""

import io
import logging

import pytest

from bridge.logs.buffer import BufferedHandler
from tests.support.waiting import eventually


class Writes(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.each: list[str] = []

    def write(self, text: str) -> int:
        self.each.append(text)
        return super().write(text)


def handler(writes: Writes, monkeypatch: pytest.MonkeyPatch, *, gather_seconds: float) -> BufferedHandler:
    monkeypatch.setattr("bridge.logs.buffer._GATHER_SECONDS", gather_seconds)
    return BufferedHandler(writes)


def say(handler: BufferedHandler, level: int, text: str) -> None:
    handler.handle(logging.makeLogRecord({"levelno": level, "msg": text}))


def test_lines_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = Writes()
    buffered = handler(writes, monkeypatch, gather_seconds=0.2)

    for text in ("one", "two", "three"):
        say(buffered, logging.INFO, text)
    assert writes.each == []

    eventually(lambda: writes.each)
    assert writes.each == ["one\ntwo\nthree\n"]


def test_a_warning_is_written_at_once_with_all_lines_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = Writes()
    buffered = handler(writes, monkeypatch, gather_seconds=60)

    say(buffered, logging.INFO, "before")
    say(buffered, logging.WARNING, "now")

    assert writes.each == ["before\nnow\n"]
