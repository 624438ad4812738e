"""Notifications of new jobs that a bridge sends for the inserts: none is lost or late, whoever dies, and when."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from bridge.dispatch import notification_relay
from bridge.dispatch.notification_relay import NotificationRelay
from bridge.postgres.link import Link
from bridge.postgres.notification_outbox import NotificationOutbox
from tests.support.notifications import NotificationRecorder
from tests.support.rows import Rows
from tests.support.waiting import eventually

MANY, FEW = 50, 10
SECOND = timedelta(seconds=1)
LONG = timedelta(minutes=1)  # no promise ends by itself, however slow the machine is


@pytest.fixture(autouse=True)
def long_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notification_relay, "_PROMISE_SECONDS", LONG.total_seconds())


@pytest.fixture
def recorder(dsn: str) -> Iterator[NotificationRecorder]:
    recorder = NotificationRecorder(dsn, "new_job")
    yield recorder
    recorder.connection.close()


@pytest.fixture
def outbox(dsn: str) -> Iterator[NotificationOutbox]:
    link = Link(dsn, "relay")
    yield NotificationOutbox(link)
    link.close()


@pytest.fixture
def relay(outbox: NotificationOutbox) -> NotificationRelay:
    return NotificationRelay(outbox, name="one")


@pytest.fixture
def other(dsn: str) -> Iterator[NotificationRelay]:
    link = Link(dsn, "relay")
    yield NotificationRelay(NotificationOutbox(link), name="other")
    link.close()


@contextmanager
def transaction(dsn: str, isolation: str = "READ COMMITTED") -> Iterator[Rows]:
    with psycopg.connect(dsn) as connection:
        connection.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        yield Rows(connection)


def hear(relay: NotificationRelay, jobs: int) -> bool:
    return [relay.heard() for _ in range(jobs)][-1]


def end_promise(rows: Rows) -> None:
    """As time does; the bridge that promised is gone."""
    rows.all("UPDATE notification_relay SET relays_until = clock_timestamp()")


def left(rows: Rows) -> int:
    return int(rows.value("SELECT count(*) FROM job_notifications"))


def jobs_of(received: list[tuple[str, Any]]) -> list[UUID]:
    return [UUID(note["job_id"]) for _, note in received]


def settle(relay: NotificationRelay) -> None:
    eventually(lambda: relay.step() > 1, what="the relay to rest")


def test_many_inserts_make_a_bridge_promise_and_few_do_not(
    relay: NotificationRelay, rows: Rows, recorder: NotificationRecorder
) -> None:
    settle(relay)
    assert not hear(relay, FEW)
    assert relay.step() > 1
    few = rows.add_job()
    assert jobs_of(recorder.received()) == [few]

    hear(relay, MANY)
    rest = relay.step()
    many = rows.add_job()

    assert rest < 0.1
    assert recorder.received() == []
    relay.step()
    assert jobs_of(recorder.received()) == [many]
    assert left(rows) == 0


def test_a_relayed_notification_has_the_original_json(
    outbox: NotificationOutbox, rows: Rows, recorder: NotificationRecorder
) -> None:
    session = rows.add_session()
    plain = rows.add_job(session_id=session, priority=3)
    (before,) = recorder.received()
    rows.all("DELETE FROM coding_jobs WHERE id = %s", [plain])

    assert outbox.promise("one", time=LONG)
    rows.all("INSERT INTO coding_jobs (id, session_id, priority, created_at) VALUES (%s, %s, 3, %s)",
             [plain, session, before[1]["created_at"]])  # fmt: skip

    assert outbox.send(limit=10) == 1
    assert recorder.received() == [before]


def test_what_stays_with_the_insert_under_a_promise(
    outbox: NotificationOutbox, rows: Rows, recorder: NotificationRecorder
) -> None:
    assert outbox.promise("one", time=LONG)

    rows.all("INSERT INTO coding_jobs (prompt) SELECT 'x' FROM generate_series(1, 3)")
    with rows.connection.transaction():
        rows.all("SET LOCAL mobvibe.notify = 'off'")
        rows.add_job()

    assert recorder.received() == [("new_job", {"count": 3})]
    assert left(rows) == 0


def test_one_bridge_promises_at_a_time_and_another_one_when_that_is_over(outbox: NotificationOutbox) -> None:
    assert outbox.promise("one", time=LONG)
    assert outbox.promise("one", time=LONG)
    assert not outbox.promise("other", time=LONG)

    assert outbox.promise("one", time=timedelta(0))

    assert outbox.promise("other", time=LONG)


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_a_transaction_that_outlives_the_promise_is_notified_of_when_it_commits(
    relay: NotificationRelay, rows: Rows, recorder: NotificationRecorder, dsn: str, isolation: str
) -> None:
    hear(relay, MANY)
    relay.step()
    with transaction(dsn, isolation) as late:
        job_id = late.add_job()
        rows.add_job()  # a later number that ends earlier
        end_promise(rows)
        relay._promised_until = 0.0
        relay._heard.extend([0.0] * MANY)
        recorder.received()
        rests = [relay.step() for _ in range(3)]
        assert max(rests) <= 1, "it looks again soon while that transaction is open"
        assert jobs_of(recorder.received()) != [job_id]

    settle(relay)

    assert job_id in jobs_of(recorder.received())


def test_no_transaction_reads_a_promise_that_is_over(
    outbox: NotificationOutbox, rows: Rows, recorder: NotificationRecorder, dsn: str
) -> None:
    assert outbox.promise("one", time=SECOND)
    with transaction(dsn, "REPEATABLE READ") as late:
        assert late.value("SELECT count(*) FROM notification_relay") == 1
        end_promise(rows)
        rows.all("DELETE FROM notification_relay")
        late.all(
            "SELECT pg_sleep(greatest(extract(epoch FROM relays_until - clock_timestamp()), 0)) FROM notification_relay"
        )
        job_id = late.add_job()

    assert jobs_of(recorder.received()) == [job_id]
    assert left(rows) == 0


def test_the_state_names_who_may_still_leave_a_notification(outbox: NotificationOutbox, rows: Rows, dsn: str) -> None:
    assert outbox.promise("one", time=LONG)
    with transaction(dsn) as late:
        late.add_job()  # no transaction with a higher number has ended when it is asked for
        assert outbox.state("1").promised
        end_promise(rows)
        first = outbox.state(None)
        assert (first.promised, first.drained) == (False, False)
        assert not outbox.state(first.after).drained

    assert outbox.state(first.after).drained


@pytest.mark.parametrize("hears", [True, False])
def test_a_promise_that_came_and_went_unseen_is_looked_after(
    other: NotificationRelay,
    outbox: NotificationOutbox,
    rows: Rows,
    recorder: NotificationRecorder,
    dsn: str,
    hears: bool,
) -> None:
    settle(other)
    assert outbox.promise("gone", time=LONG)
    seen = [] if hears else [rows.add_job()]
    with transaction(dsn) as late:
        job_id = late.add_job()
        end_promise(rows)
        if hears:
            other._heard.extend([time.monotonic() - 0.6] * MANY)  # too few for a promise, enough to look
        assert max(other.step() for _ in range(3)) < 1
        assert jobs_of(recorder.received()) == seen

    settle(other)

    assert jobs_of(recorder.received()) == [job_id]


def test_a_bridge_that_stands_by_takes_over_from_one_that_died(
    relay: NotificationRelay, other: NotificationRelay, rows: Rows, recorder: NotificationRecorder
) -> None:
    for one in (relay, other):
        hear(one, MANY)
        one.step()
    standby = other.step()
    job_id = rows.add_job()
    assert 0.1 < standby <= 0.5
    end_promise(rows)  # the first bridge was killed

    other.step()

    assert jobs_of(recorder.received()) == [job_id]
    next_id = rows.add_job()
    other.step()
    assert jobs_of(recorder.received()) == [next_id]


def test_a_new_bridge_sends_what_a_dead_one_left(
    outbox: NotificationOutbox, rows: Rows, recorder: NotificationRecorder, dsn: str
) -> None:
    assert outbox.promise("gone", time=LONG)
    with transaction(dsn) as late:
        job_id = late.add_job()
        end_promise(rows)
        new = NotificationRelay(outbox, name="new")
        assert new.step() < 0.1
        assert new.step() < 0.1

    settle(new)

    assert jobs_of(recorder.received()) == [job_id]


def test_a_bridge_that_stops_takes_its_promise_back(
    relay: NotificationRelay, rows: Rows, recorder: NotificationRecorder
) -> None:
    hear(relay, MANY)
    relay.step()
    first = rows.add_job()

    relay.finish()

    second = rows.add_job()
    assert jobs_of(recorder.received()) == [first, second]


def test_dead_rows_are_removed_and_too_many_of_them_end_the_promise(
    outbox: NotificationOutbox, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_relay, "_VACUUM_JOBS", 1)
    relay = NotificationRelay(outbox, name="one")
    size = "SELECT pg_relation_size('job_notifications')"
    fill = """INSERT INTO job_notifications SELECT gen_random_uuid(), NULL, 0, now() FROM generate_series(1, 4000)"""
    for _ in range(5):
        rows.all(fill)
        settle(relay)
    assert rows.value(size) < 700_000

    assert outbox.promise("one", time=timedelta(0))
    rows.all(fill.replace("4000", "90000"))
    assert not outbox.promise("one", time=LONG)
    rows.all("TRUNCATE job_notifications")
    assert outbox.promise("one", time=timedelta(0))


def test_a_schema_without_relay_leaves_nothing_to_do(outbox: NotificationOutbox, rows: Rows, empty_dsn: str) -> None:
    link = Link(empty_dsn.rpartition("/")[0] + "/postgres", "relay")
    relay = NotificationRelay(NotificationOutbox(link), name="one")
    try:
        hear(relay, MANY)
        assert relay.step() > 1
    finally:
        link.close()
