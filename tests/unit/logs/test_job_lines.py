"""The fast path for log lines of jobs writes the same lines, and is not used if there are other handlers."""

import io
import logging
import re

import pytest

from bridge.logs import job_lines
from bridge.logs.fields import LogFields
from bridge.logs.formats import configure_logging
from bridge.settings import Settings


@pytest.mark.parametrize("production", [True, False])
@pytest.mark.parametrize("colour", ["", "1"])
def test_the_fast_path_writes_the_same_line(monkeypatch: pytest.MonkeyPatch, production: bool, colour: str) -> None:
    monkeypatch.setenv("FORCE_COLOR", colour)
    settings = Settings(_env_file=None, node_env="production" if production else "development")  # type: ignore[call-arg]
    stream = io.StringIO()
    configure_logging(settings, stream, buffered=True)
    logging.getLogger().handlers[:-1] = []  # pytest's
    fields = LogFields(jobId="a\nb", fence=1, queue="é")
    logger = logging.getLogger("some.place")

    job_lines.info(logger, "Job completed", fields, duration=7)
    logger.info("Job completed", extra=fields | {"duration": 7})
    logging.getLogger().handlers[0].flush()

    short, usual = (re.sub(r"\d{10,}|\d\d:\d\d:\d\d\.\d+", "…", line) for line in stream.getvalue().splitlines())
    assert short == usual
    assert "duration" in short


def test_the_fast_path_is_not_used_when_there_is_another_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    configure_logging(Settings(_env_file=None), stream, buffered=True)  # type: ignore[call-arg]
    records: list[logging.LogRecord] = []
    listener = logging.Handler()
    monkeypatch.setattr(listener, "emit", records.append)
    logging.getLogger().addHandler(listener)

    job_lines.info(logging.getLogger("some.place"), "Job completed", LogFields(jobId="1"), duration=7)

    assert [(record.getMessage(), vars(record)["duration"]) for record in records] == [("Job completed", 7)]


def test_the_fast_path_respects_the_log_level(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    configure_logging(Settings(_env_file=None, log_level="warn"), stream, buffered=True)  # type: ignore[call-arg]

    job_lines.info(logging.getLogger("some.place"), "Job completed", LogFields(jobId="1"))
    logging.getLogger().handlers[-1].flush()

    assert stream.getvalue() == ""
