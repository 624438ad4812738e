"""An ending that Postgres refuses is said in plainer words, as long as there are any."""

from uuid import uuid4

from bridge.errors import PostgresRefusedError
from bridge.job import Cancelled, Completed, Failed, Released, Report
from bridge.postgres.attempts import AttemptKey
from bridge.worker.ending import Ending

REFUSED = PostgresRefusedError("invalid byte sequence")
PLAINEST = "failed, and the database would not store why"


def reports(report: Report) -> list[Report]:
    """What is said, each after the one before it was refused."""
    ending: Ending | None = Ending(AttemptKey(uuid4(), 1, uuid4()), report)
    said = []
    while ending is not None:
        said.append(ending.report)
        assert ending.as_at_first().report == report
        ending = ending.plainer(REFUSED)
    return said


def test_a_result_becomes_a_failure_and_that_a_plainer_one() -> None:
    assert reports(Completed('{"n": 1}')) == [
        Completed('{"n": 1}'),
        Failed("the result could not be stored: invalid byte sequence"),
        Failed(PLAINEST),
    ]


def test_a_failure_stays_as_final_as_it_was() -> None:
    assert reports(Failed("boom", final=True)) == [Failed("boom", final=True), Failed(PLAINEST, final=True)]
    assert reports(Failed("boom")) == [Failed("boom"), Failed(PLAINEST)]


def test_what_was_called_off_fails_for_good_and_a_release_has_no_other_words() -> None:
    assert reports(Cancelled("skipped")) == [Cancelled("skipped"), Failed(PLAINEST, final=True)]
    assert reports(Released()) == [Released()]
