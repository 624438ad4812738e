"""Log lines: pino's format in production, one readable line in development; no value can forge either.

Rows of docs/reference/security.md: S29.
"""

import io
import json
import logging

import pytest

from bridge import Fail
from bridge.logs.formats import TRACE, PinoFormatter, PrettyFormatter, configure_logging
from bridge.settings import Settings


def logged(monkeypatch: pytest.MonkeyPatch, *, production: bool = True, level: str = "trace") -> io.StringIO:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    settings = Settings(_env_file=None, node_env="production" if production else "development", log_level=level)  # type: ignore[call-arg, arg-type]
    stream = io.StringIO()
    configure_logging(settings, stream)
    return stream


def test_a_line_has_pinos_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = logged(monkeypatch)

    logging.getLogger("x").info("Job completed", extra={"jobId": "1", "duration": 2145})

    line = json.loads(stream.getvalue())
    assert list(line) == ["level", "time", "pid", "hostname", "jobId", "duration", "msg"]
    assert (line["level"], line["msg"], line["jobId"], line["duration"]) == (30, "Job completed", "1", 2145)
    assert 1.7e12 < line["time"] < 9e12


@pytest.mark.parametrize(
    ("level", "number"),
    [
        (TRACE, 10),
        (logging.DEBUG, 20),
        (logging.INFO, 30),
        (logging.WARNING, 40),
        (logging.ERROR, 50),
        (logging.CRITICAL, 60),
    ],
)
def test_levels_have_pinos_numbers(monkeypatch: pytest.MonkeyPatch, level: int, number: int) -> None:
    stream = logged(monkeypatch)

    logging.getLogger("x").log(level, "hello")

    assert json.loads(stream.getvalue())["level"] == number


def test_an_error_is_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = logged(monkeypatch)
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("x").exception("It failed")

    err = json.loads(stream.getvalue())["err"]
    assert (err["type"], err["message"]) == ("ValueError", "no")
    assert "Traceback" in err["stack"]


class FailingTextError(Exception):
    """An exception whose `__str__` raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "error", [ValueError("x" * 10_000_000), ValueError("\x1b[31m\x00\ud800\r"), FailingTextError()]
)
@pytest.mark.parametrize("production", [True, False])
def test_any_exception_is_formatted_in_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, production: bool
) -> None:
    stream = logged(monkeypatch, production=production)

    logging.getLogger("x").error("Job failed", exc_info=error)

    text = stream.getvalue()
    assert type(error).__name__ in text
    assert len(text) < 50_000
    assert not {"\x1b", "\x00", "\r"} & set(text)


def test_the_log_level_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = logged(monkeypatch, level="warn")

    logging.getLogger("x").info("quiet")
    logging.getLogger("x").warning("loud")

    assert stream.getvalue().count("\n") == 1


def test_development_is_one_readable_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = logged(monkeypatch, production=False)

    logging.getLogger("x").warning("Job failed", extra={"jobId": "1", "sessionId": None})

    assert stream.getvalue()[13:] == "WARN  Job failed jobId=1\n"


@pytest.mark.parametrize("production", [True, False])
def test_a_value_can_neither_forge_a_line_nor_send_control_codes(
    monkeypatch: pytest.MonkeyPatch, production: bool
) -> None:
    stream = logged(monkeypatch, production=production)

    logging.getLogger("x").info("said %s", "a\nb\x1b[31m", extra={"jobId": "1\r\n2\x1b[0m"})

    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "\r" not in text


def test_colour_is_used_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = logged(monkeypatch, production=False)
    logging.getLogger("x").info("plain")
    assert "\x1b" not in stream.getvalue()

    monkeypatch.setenv("FORCE_COLOR", "1")
    configure_logging(Settings(_env_file=None), stream)  # type: ignore[call-arg]
    logging.getLogger("x").info("coloured")
    assert "\x1b[32m" in stream.getvalue()

    monkeypatch.setenv("NO_COLOR", "1")
    configure_logging(Settings(_env_file=None), stream)  # type: ignore[call-arg]
    logging.getLogger("x").info("plain again")
    assert stream.getvalue().endswith("plain again\n")


def test_an_exception_without_a_stack_is_kept_for_error_trackers_and_not_shown() -> None:
    try:
        raise Fail("there is no point")
    except Fail as error:
        record = logging.makeLogRecord({"msg": "Job failed", "levelno": logging.ERROR, "exc_info": (Fail, error, None)})
        with_stack = logging.makeLogRecord(
            {"msg": "Job failed", "levelno": logging.ERROR, "exc_info": (Fail, error, error.__traceback__)}
        )

    assert "err" not in json.loads(PinoFormatter().format(record))
    assert PrettyFormatter(colour=False, clock=False).format(record).count("\n") == 0
    assert "err" in json.loads(PinoFormatter().format(with_stack))
