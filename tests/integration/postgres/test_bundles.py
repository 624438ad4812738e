"""Bundles are kept in order by the attempt that has the session, and by no other."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from bridge.errors import NotOursError
from bridge.postgres.attempts import AttemptKey
from bridge.postgres.bundles import PostgresBundles
from bridge.postgres.turns import TurnKey
from bridge.snapshots.bundles import Bundle, Stored
from tests.support.rows import Rows
from tests.support.steps import Steps

Held = Callable[[], PostgresBundles]


@pytest.fixture
def session_id(rows: Rows) -> UUID:
    session_id = rows.add_session()
    rows.add_job(session_id=session_id)
    return session_id


def bundles_of(steps: Steps, held: AttemptKey | None = None) -> PostgresBundles:
    writer = None if held is None else TurnKey(held.job_id, held.fence)
    return PostgresBundles(steps.link.call, writer)


def test_bundles_come_back_in_order(steps: Steps, session_id: UUID) -> None:
    bundles = bundles_of(steps, steps.started())
    data = bytes(range(256)) * 1000
    assert bundles.stored(session_id) == Stored(None, 0, 0)

    bundles.put(session_id, None, "c1", data)
    bundles.put(session_id, "c1", "c2", b"two")
    bundles.put(session_id, "c2", "c3", b"")

    assert bundles.stored(session_id) == Stored("c3", 3, len(data) + 3)
    first, second, third = Bundle(None, "c1", data), Bundle("c1", "c2", b"two"), Bundle("c2", "c3", b"")
    reader = bundles_of(steps)
    assert list(reader.all(session_id)) == [first, second, third]
    assert list(reader.all(session_id, after="c1")) == [second, third]
    assert list(reader.all(session_id, after="unknown")) == [first, second, third]
    assert list(reader.all(uuid4())) == []


def test_the_same_again_changes_nothing_and_one_without_a_base_replaces_all(steps: Steps, session_id: UUID) -> None:
    bundles = bundles_of(steps, steps.started())
    bundles.put(session_id, None, "c1", b"1")
    bundles.put(session_id, "c1", "c2", b"2")
    bundles.put(session_id, "c1", "c2", b"repeated")
    assert [bundle.data for bundle in bundles.all(session_id)] == [b"1", b"2"]

    bundles.put(session_id, None, "c3", b"all")

    assert list(bundles.all(session_id)) == [Bundle(None, "c3", b"all")]


def test_one_that_does_not_follow_the_last_is_an_error(steps: Steps, session_id: UUID) -> None:
    bundles = bundles_of(steps, steps.started())
    bundles.put(session_id, None, "c1", b"1")

    with pytest.raises(Exception, match="leads to c1, not to c0"):
        bundles.put(session_id, "c0", "c2", b"2")


def test_an_attempt_that_was_replaced_stores_nothing(steps: Steps, session_id: UUID) -> None:
    worker = steps.add_worker()
    before = steps.started(worker)
    steps.release(before)
    now = steps.started(worker)
    bundles_of(steps, now).put(session_id, None, "c1", b"1")

    for writer in (before, AttemptKey(uuid4(), 1, None), None):
        with pytest.raises(NotOursError, match="nothing is stored|is not stored"):
            bundles_of(steps, writer).put(session_id, None, "c2", b"2")
    steps.complete(now)
    with pytest.raises(NotOursError):
        bundles_of(steps, now).put(session_id, "c1", "c2", b"2")
    assert bundles_of(steps).stored(session_id) == Stored("c1", 1, 1)


def test_they_go_with_their_session_and_stay_with_others(steps: Steps, rows: Rows, session_id: UUID) -> None:
    bundles_of(steps, steps.started()).put(session_id, None, "c1", b"1")
    other = rows.add_session()
    rows.add_job(session_id=other)
    bundles_of(steps, steps.started()).put(other, None, "c1", b"1")
    assert rows.value("SELECT count(*) FROM session_bundles") == 2

    rows.all("DELETE FROM coding_sessions WHERE id = %s", [session_id])

    assert rows.all("SELECT session_id FROM session_bundles") == [{"session_id": other}]
