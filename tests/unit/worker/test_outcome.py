"""Which outcome follows from how an actor ended."""

from datetime import timedelta
from typing import Any

import dramatiq.errors
import pytest
from dramatiq.middleware import Shutdown, SkipMessage, TimeLimitExceeded

from bridge import Fail, NotOursError, Release, Retry
from bridge.job import Cancelled, Completed, Failed, Released
from bridge.worker.interrupts import JobCancelledError, LeaseLostError, LeaseOverError, WorkerStoppingError
from bridge.worker.outcome import report_of, skipped


@pytest.mark.parametrize(
    ("result", "text"), [(None, None), ({"rows": 7}, '{"rows":7}'), (5, "5"), ([], "[]"), (False, "false")]
)
def test_a_return_value_is_the_result(result: Any, text: str | None) -> None:
    assert report_of(result, None) == Completed(text)


class Treacherous(Exception):  # noqa: N818 -- not an error of ours
    def __str__(self) -> str:
        raise ZeroDivisionError("no text")


class Falling(dict[str, int]):
    def items(self) -> Any:
        raise SystemExit("while its items are read")


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize("result", [object(), float("nan"), {1, 2}, b"x", CIRCLE, {(1, 2): 3}, Falling(x=1)])
def test_a_result_that_is_not_json_is_not_a_reason_to_run_the_job_again(result: Any) -> None:
    report = report_of(result, None)

    assert isinstance(report, Failed)
    assert report.final
    assert report.error.startswith("the result cannot be stored")

    assert report_of(result, None, must_store=False) == Completed(None, dropped=report.error)


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
        (Release(delay=5), Released(timedelta(seconds=5))),
        (Release(), Released()),
        (NotOursError("a later attempt runs"), None),
        (WorkerStoppingError(), Released()),
        (JobCancelledError(), Released()),
        (LeaseOverError(), Released()),
        (Shutdown(), Released()),
        (LeaseLostError(), None),
        (SystemExit(3), Failed("SystemExit: 3")),
        (GeneratorExit(), Failed("GeneratorExit: ")),
        (Treacherous(), Failed("Treacherous: (its text cannot be made: ZeroDivisionError)")),
        (
            ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
            Failed("ExceptionGroup: two (2 sub-exceptions): ValueError: a; KeyError: 'b'"),
        ),
        (BaseExceptionGroup("g", [ValueError("a"), WorkerStoppingError()]), Released()),
        (ExceptionGroup("g", [ValueError("a"), Fail("never")]), Failed("never", final=True)),
        (ExceptionGroup("g", [ValueError("a"), Release(delay=5)]), Released(timedelta(seconds=5))),
        (ExceptionGroup("g", [Fail("never"), NotOursError("a later attempt runs")]), None),
    ],
)
def test_an_exception_decides_how_the_attempt_ends(exception: BaseException, report: Any) -> None:
    assert report_of(None, exception) == report


def test_a_text_that_is_too_long_is_cut_before_it_is_sent() -> None:
    report = report_of(None, ValueError("x" * 50_000_000))

    assert isinstance(report, Failed)
    assert len(report.error) < 21_000


def test_a_skipped_job_is_cancelled_with_the_name_of_the_middleware_that_skipped_it() -> None:
    assert skipped("skipped by Throttle", SkipMessage("not now")) == Cancelled("skipped by Throttle: not now")
    assert skipped("skipped by Throttle", SkipMessage()) == Cancelled("skipped by Throttle")


def test_an_error_in_throws_is_final() -> None:
    assert report_of(None, KeyError("x"), throws=(KeyError, ValueError)) == Failed("KeyError: 'x'", final=True)
    assert report_of(None, TypeError("x"), throws=KeyError) == Failed("TypeError: x", final=False)
    grouped = ExceptionGroup("g", [ValueError("a"), KeyError("x")])
    assert report_of(None, grouped, throws=KeyError) == Failed(
        "ExceptionGroup: g (2 sub-exceptions): ValueError: a; KeyError: 'x'", final=True
    )
