"""gunicorn's log lines go to our log: no line per request, and a lost client connection is not logged as a crash."""

import logging

import pytest

from bridge.web.server_log import ServerLog


@pytest.fixture
def log() -> ServerLog:
    return ServerLog(None)


def test_requests_leave_no_line_and_warnings_do(log: ServerLog, caplog: pytest.LogCaptureFixture) -> None:
    log.access(None, None, None, None)
    log.info("Booting worker")
    log.warning("Worker exiting")

    assert caplog.messages == ["Worker exiting"]


@pytest.mark.parametrize(
    ("error", "lines"),
    [(BrokenPipeError("gone"), [(logging.INFO, "Connection lost")]), (KeyError("x"), [(logging.ERROR, "A crash")])],
)
def test_a_lost_connection_is_distinguished_from_a_crash(
    log: ServerLog, caplog: pytest.LogCaptureFixture, error: Exception, lines: list[tuple[int, str]]
) -> None:
    log.error_log.setLevel(logging.INFO)

    try:
        raise error
    except Exception:
        log.exception("A crash")

    assert [(record.levelno, record.message) for record in caplog.records] == lines
