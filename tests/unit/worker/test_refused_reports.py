"""A report that Postgres refuses is replaced by one with less content, as long as there is one."""

from uuid import uuid4

from bridge.errors import PostgresRefusedError
from bridge.job import Cancelled, Completed, Failed, Released, Report
from bridge.postgres.attempts import AttemptKey
from bridge.worker.ending import Ending
from bridge.worker.refused_reports import as_at_first, plainer

REFUSED = PostgresRefusedError("invalid byte sequence")
PLAINEST = "failed, and the database would not store why"


def reports(report: Report) -> list[Report]:
    """The reports that are tried, each after the previous one was refused."""
    ending: Ending | None = Ending(AttemptKey(uuid4(), 1, uuid4()), report)
    reports_tried = []
    while ending is not None:
        reports_tried.append(ending.report)
        assert as_at_first(ending).report == report
        ending = plainer(ending, REFUSED)
    return reports_tried


def test_a_refused_result_becomes_a_failure_and_then_a_failure_without_details() -> None:
    assert reports(Completed('{"n": 1}')) == [
        Completed('{"n": 1}'),
        Failed("the result could not be stored: invalid byte sequence"),
        Failed(PLAINEST),
    ]


def test_a_failure_stays_as_final_as_it_was() -> None:
    assert reports(Failed("boom", final=True)) == [Failed("boom", final=True), Failed(PLAINEST, final=True)]
    assert reports(Failed("boom")) == [Failed("boom"), Failed(PLAINEST)]


def test_a_refused_cancel_becomes_a_final_failure_and_a_release_has_no_plainer_form() -> None:
    assert reports(Cancelled("skipped")) == [Cancelled("skipped"), Failed(PLAINEST, final=True)]
    assert reports(Released()) == [Released()]
