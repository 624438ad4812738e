"""Who wants a process for itself must have a job there."""

from typing import Any, cast
from uuid import uuid4

import pytest

from bridge.attempts import Held
from bridge.transport.intake import JobMessage
from bridge.worker.runs import Runs
from bridge.worker.solitude import Solitude


class Busy:
    """The runs of a process in which a job is at work."""

    def all(self) -> list[Any]:
        return [object()]


def alone() -> JobMessage:
    name = f"{uuid4()}:1!"
    message = JobMessage("coding", "run", name, name)
    message.held = Held(uuid4(), 1, uuid4())
    return message


def other() -> JobMessage:
    name = f"{uuid4()}:1"
    return JobMessage("coding", "run", name, name)


@pytest.mark.parametrize("is_real", [True, False])
@pytest.mark.parametrize("comes_alone", [True, False])
def test_a_process_waits_for_a_job_that_there_is_and_for_no_other(is_real: bool, comes_alone: bool) -> None:
    solitude = Solitude(cast("Runs", Busy()), lambda held: is_real, keep_seconds=10)
    message, others = alone(), [] if comes_alone else [other()]

    assert solitude.sort([message, *others]) == (others, [message] if is_real else [], [])

    assert solitude.is_on() is is_real
