"""The table in which inserts leave notifications while a bridge promises to send them."""

from datetime import timedelta

import pytest

from bridge.postgres.link import Link
from bridge.postgres.notification_outbox import NotificationOutbox, RelayState
from tests.support.rows import Rows

LONG = timedelta(minutes=1)  # no promise ends by itself, however slow the machine is


@pytest.fixture
def outbox(link: Link) -> NotificationOutbox:
    return NotificationOutbox(link)


def left(rows: Rows) -> int:
    return int(rows.value("SELECT count(*) FROM job_notifications"))


def test_inserts_leave_their_notifications_while_a_promise_holds(outbox: NotificationOutbox, rows: Rows) -> None:
    rows.add_job()
    assert left(rows) == 0

    assert outbox.promise("one", time=LONG)
    rows.add_job()
    rows.add_job()
    assert left(rows) == 2
    assert outbox.send(limit=1) == 1
    assert outbox.send(limit=9) == 1
    assert left(rows) == 0

    assert outbox.promise("one", time=timedelta(0))
    rows.add_job()
    assert left(rows) == 0


def test_one_bridge_at_a_time_promises(outbox: NotificationOutbox) -> None:
    assert outbox.promise("one", time=LONG)
    assert outbox.promise("one", time=LONG)

    assert not outbox.promise("other", time=LONG)
    assert outbox.state(None).promised


def test_the_table_is_vacuumed_by_its_owner(outbox: NotificationOutbox, rows: Rows) -> None:
    assert outbox.promise("one", time=LONG)
    rows.add_job()
    outbox.send(limit=9)

    outbox.vacuum()
    rows.add_job()

    assert rows.value("SELECT ctid::text FROM job_notifications") == "(0,1)"  # where the removed row was


def test_in_the_older_schema_inserts_leave_nothing(outbox: NotificationOutbox, rows: Rows) -> None:
    rows.all("DROP FUNCTION promise_relay, relay_notifications, relay_state")

    assert not outbox.promise("one", time=LONG)
    assert outbox.send(limit=9) == 0
    assert outbox.state(None) == RelayState(drained=True)
