"""What an actor's end means for its job."""

from datetime import timedelta
from typing import Any

import dramatiq.errors
import pytest
from dramatiq.middleware import Shutdown, TimeLimitExceeded

from bridge import Fail, Retry
from bridge.job import Completed, Failed, Released
from bridge.worker.outcome import report_of
from bridge.worker.runs import JobCancelledError, LeaseLostError, LeaseOverError, WorkerStoppingError


@pytest.mark.parametrize(
    ("result", "text"), [(None, None), ({"rows": 7}, '{"rows":7}'), (5, "5"), ([], "[]"), (False, "false")]
)
def test_a_return_value_is_the_result(result: Any, text: str | None) -> None:
    assert report_of(result, None) == Completed(text)


def test_a_result_that_is_no_json_is_a_failure() -> None:
    report = report_of(object(), None)

    assert isinstance(report, Failed)
    assert not report.final
    assert report.error.startswith("the result cannot be stored as JSON")


@pytest.mark.parametrize(
    ("exception", "report"),
    [
        (ValueError("no"), Failed("ValueError: no")),
        (KeyboardInterrupt(), Failed("KeyboardInterrupt: ")),
        (Fail("never"), Failed("never", final=True)),
        (Fail(), Failed("Fail", final=True)),
        (Retry("later", delay=5), Failed("later", delay=timedelta(seconds=5))),
        (Retry(), Failed("retry requested")),
        (dramatiq.errors.Retry("later", delay=5000), Failed("later", delay=timedelta(seconds=5))),
        (dramatiq.errors.RateLimitExceeded("busy"), Failed("RateLimitExceeded: busy")),
        (TimeLimitExceeded(), Failed("the time limit was exceeded")),
        (WorkerStoppingError(), Released()),
        (JobCancelledError(), Released()),
        (LeaseOverError(), Released()),
        (Shutdown(), Released()),
        (LeaseLostError(), None),
    ],
)
def test_an_exception_decides_how_the_attempt_ends(exception: BaseException, report: Any) -> None:
    assert report_of(None, exception) == report


def test_expected_errors_are_final() -> None:
    assert report_of(None, KeyError("x"), throws=(KeyError, ValueError)) == Failed("KeyError: 'x'", final=True)
    assert report_of(None, TypeError("x"), throws=KeyError) == Failed("TypeError: x", final=False)
