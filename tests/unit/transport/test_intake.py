"""A message of Dramatiq's own is opened as one job, whose text form shows no arguments."""

from typing import Any

import pytest
from dramatiq import Message

from bridge.errors import BadMessageError
from bridge.transport.intake import PlainIntake

MESSAGE: Message[Any] = Message(
    "coding", "greet", ("geheim",), {"name": "Ada"}, {"redis_message_id": "1"}, message_timestamp=1234
)


def test_a_message_is_opened_as_it_was_sent() -> None:
    (job,) = PlainIntake().open(MESSAGE.encode(), "coding", "1")

    assert (job.queue_name, job.actor_name, job.message_id) == ("coding", "greet", MESSAGE.message_id)
    assert (job.args, job.kwargs, job.message_timestamp) == (("geheim",), {"name": "Ada"}, 1234)
    assert job.asdict() == MESSAGE.asdict()
    assert str(job) == f"greet({MESSAGE.message_id})"


def test_a_message_under_the_id_of_another_is_refused() -> None:
    with pytest.raises(BadMessageError, match="wrong_id"):
        PlainIntake().open(MESSAGE.encode(), "coding", "2")
