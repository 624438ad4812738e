"""What the log says when the report of an attempt's end is written."""

import logging
from uuid import uuid4

import pytest
from dramatiq.brokers.stub import StubBroker

from bridge.errors import Fail
from bridge.job import Cancelled, Completed, Failed, Released, Report, Status
from bridge.postgres.attempts import AttemptKey
from bridge.worker.ending import Ending
from bridge.worker.ending_log import log_ending
from bridge.worker.interrupt_guard import InterruptGuard
from bridge.worker.runs import Runs
from tests.support.runs import new_run


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records]


@pytest.mark.parametrize(
    ("report", "status", "expected"),
    [
        (Completed(None), Status.COMPLETED, [(logging.INFO, "Job completed")]),
        (
            Completed(None, dropped="no JSON"),
            Status.COMPLETED,
            [(logging.WARNING, "Result dropped"), (logging.INFO, "Job completed")],
        ),
        (Cancelled("skipped"), Status.CANCELLED, [(logging.WARNING, "Job cancelled")]),
        (Failed("boom"), Status.PENDING, [(logging.WARNING, "Job failed, will retry")]),
        (Failed("boom"), Status.FAILED, [(logging.ERROR, "Job failed")]),
        (Released(), Status.PENDING, [(logging.INFO, "Job handed back")]),
        (Completed(None), None, [(logging.WARNING, "Report refused: this attempt is no longer ours")]),
    ],
)
def test_an_ending_is_logged_by_what_became_of_its_job(
    caplog: pytest.LogCaptureFixture, report: Report, status: Status | None, expected: list[tuple[int, str]]
) -> None:
    caplog.set_level(logging.INFO)
    run = new_run()

    log_ending(Ending(run.key, report, run), status)

    assert lines(caplog) == expected
    assert {vars(record)["jobId"] for record in caplog.records} == {str(run.key.job_id)}


def test_a_hand_over_that_was_over_already_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    log_ending(Ending(AttemptKey(uuid4(), 1, None), Released()), None)

    assert lines(caplog) == []


def raised_by_an_actor(error: Exception) -> Exception:
    """The exception as it comes out of an actor that the guard is around, in a run."""
    runs, run, broker = Runs(), new_run(), StubBroker(middleware=[])
    runs.add([run])
    guard = InterruptGuard(lambda: runs)

    class Message:
        def __init__(self) -> None:
            self.run = run

    def explode() -> None:
        raise error

    guarded = guard._guarded(explode)
    guard.before_process_message(broker, Message())  # type: ignore[arg-type]
    with pytest.raises(type(error)) as caught:
        guarded()
    return caught.value


def test_a_stack_begins_in_the_actor(caplog: pytest.LogCaptureFixture) -> None:
    error = raised_by_an_actor(ValueError("boom"))
    trace = error.__traceback__
    assert trace is not None
    error.__traceback__ = trace.tb_next  # without the frame of this file: the first one is the guard's
    run = new_run()

    log_ending(Ending(run.key, Failed("boom"), run, error), Status.FAILED)

    (record,) = caplog.records
    assert record.exc_info is not None
    shown = record.exc_info[2]
    assert shown is not None
    assert shown.tb_frame.f_code.co_name == "explode"


def test_an_error_whose_text_says_all_has_no_stack(caplog: pytest.LogCaptureFixture) -> None:
    run = new_run()

    log_ending(Ending(run.key, Failed("no"), run, raised_by_an_actor(Fail("no"))), Status.FAILED)

    (record,) = caplog.records
    assert vars(record)["error"] == "no"
    assert record.exc_info is not None
    assert record.exc_info[2] is None
