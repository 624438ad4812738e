"""`.send()`: a row under the message's own id, or a refusal at once."""

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest

from bridge.errors import DirectSendError
from tests.support.fleet import Fleet
from tests.support.rows import Rows, ended


@pytest.fixture
def fleet(new_fleet: Callable[..., Fleet]) -> Fleet:
    return new_fleet()


def test_a_message_that_is_sent_is_a_job_under_its_own_id(fleet: Fleet, rows: Rows, caplog: Any) -> None:
    fleet.start()

    first = fleet.broker.actors["plain"].send(1, 2, key="value")
    second = fleet.broker.actors["plain"].send(3)

    assert ended(rows, first.message_id)["result"] == 2
    assert ended(rows, second.message_id)["max_retries"] == 6
    assert fleet.actor_log.plain == [((1, 2), {"key": "value"}), ((3,), {})]
    assert caplog.text.count("enqueue() from bridge takes your connection") == 1


def test_a_message_that_is_sent_again_stays_one_job(fleet: Fleet, rows: Rows, caplog: Any) -> None:
    message = fleet.broker.actors["plain"].message(1)

    fleet.broker.enqueue(message)
    fleet.broker.enqueue(message)

    assert rows.value("SELECT count(*) FROM coding_jobs") == 1
    assert "was sent before" in caplog.text


def test_a_delay_is_kept_by_postgres(fleet: Fleet, rows: Rows) -> None:
    message = fleet.broker.actors["plain"].send_with_options(args=(1,), delay=3_600_000)

    wait = rows.value("SELECT run_at - created_at FROM coding_jobs WHERE id = %s", [message.message_id])
    assert abs(wait.total_seconds() - 3600) < 1


def test_an_actor_that_takes_its_job_gets_what_is_sent_as_its_payload(fleet: Fleet, rows: Rows) -> None:
    fleet.start()
    double = fleet.broker.actors["double"]

    by_dict = double.send({"n": 4})
    by_keys = double.send(n=5)

    assert ended(rows, by_dict.message_id)["result"] == {"twice": 8}
    assert ended(rows, by_keys.message_id)["result"] == {"twice": 10}
    with pytest.raises(DirectSendError, match="send\\(\\) it one dict"):
        double.send(1)
    with pytest.raises(DirectSendError, match="have no options \\(max_age\\)"):
        double.send_with_options(args=({"n": 1},), max_age=1)


def test_a_message_that_cannot_be_a_job_fails_its_sender_at_once(fleet: Fleet, rows: Rows) -> None:
    @dramatiq.actor
    def sends_an_object() -> None:
        fleet.broker.actors["plain"].send(object())

    fleet.start()
    message = sends_an_object.send()

    job = ended(rows, message.message_id)
    assert (job["status"], job["retry_count"]) == ("failed", 1)
    assert "plain.send()" in job["error_message"]


def test_an_id_that_is_not_a_uuid_is_refused(fleet: Fleet) -> None:
    with pytest.raises(DirectSendError, match="must be a UUID, not 'mine'"):
        fleet.broker.enqueue(fleet.broker.actors["plain"].message(1).copy(message_id="mine"))
