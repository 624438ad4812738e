"""The runs that a worker process holds, and which of them go on for too long."""

import time
from uuid import uuid4

from bridge.worker.interrupts import LeaseLostError
from bridge.worker.runs import Runs
from tests.support.runs import new_run
from tests.support.waiting import eventually


def test_a_run_is_kept_until_it_is_removed() -> None:
    runs, first, second = Runs(), new_run(), new_run()
    runs.add([first])
    runs.add([second])
    assert runs.held_keys() == [first.key, second.key]

    runs.remove([first.key.exec, uuid4()])

    assert runs.held_keys() == [second.key]
    assert runs.interrupt_all(LeaseLostError) == 0
    assert second.interrupt is LeaseLostError


def test_an_actor_is_unresponsive_when_it_still_runs_after_its_interrupt_or_time_limit() -> None:
    runs, interrupted, late, fine = Runs(), new_run(), new_run(), new_run()
    runs.add([interrupted, late, fine])
    for run in (interrupted, late, fine):
        run.has_begun = True
    late.limit = 0.0
    interrupted.interrupted_at = time.monotonic()

    assert runs.unresponsive(60) == []
    eventually(lambda: runs.unresponsive(0.01) == [interrupted, late])

    interrupted.ended = time.monotonic()
    assert runs.unresponsive(0.01) == [interrupted, late], "a hook after the actor may hang as well"
    interrupted.is_reported = late.is_reported = True
    assert runs.unresponsive(0.01) == []
