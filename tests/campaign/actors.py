"""The actors of a campaign. They do no real work, and write each run into a log outside the stores."""

import os
import signal
import time
from typing import Any

from dramatiq.middleware import CurrentMessage

from bridge import Fail, Job, Retry, actor
from bridge.broker import connect_broker
from bridge.runtime.kill_points import kill_point
from tests.campaign.effect_log import write_effect

connect_broker()

QUEUE = "campaign"


class _Effect:
    """One run, from its first line in the log to its last."""

    def __init__(self, job: Job) -> None:
        message: Any = CurrentMessage.get_current_message()
        self._job = job
        self._exec = message.run.key.exec
        write_effect("start", job.id, job.fence, self._exec)

    def done(self) -> dict[str, object]:
        """The result holds the attempt's own fence and exec, so that a row with another attempt's result is found."""
        self._job.emit("progress", {"job": str(self._job.id), "fence": self._job.fence})  # if the job has a session
        write_effect("end", self._job.id, self._job.fence, self._exec)
        kill_point("effect.done")
        return {"fence": self._job.fence, "exec": str(self._exec)}


@actor(queue_name=QUEUE)
def quick(job: Job) -> dict[str, object]:
    return _Effect(job).done()


@actor(queue_name=QUEUE)
def nap(job: Job) -> dict[str, object]:
    effect = _Effect(job)
    time.sleep(job.payload["seconds"])
    return effect.done()


@actor(queue_name=QUEUE)
def flaky(job: Job) -> dict[str, object]:
    effect = _Effect(job)
    if job.attempt <= job.payload["failures"]:
        raise Retry(f"not this time, at fence {job.fence}", delay=0.5)
    return effect.done()


@actor(queue_name=QUEUE)
def hopeless(job: Job) -> None:
    _Effect(job)
    raise Fail(f"never, at fence {job.fence}")


def _in_small_steps(job: Job) -> dict[str, object]:
    effect = _Effect(job)
    until = time.monotonic() + job.payload["seconds"]
    while time.monotonic() < until:
        time.sleep(0.02)  # where an interrupt can reach it
    return effect.done()


@actor(queue_name=QUEUE)
def long(job: Job) -> dict[str, object]:
    return _in_small_steps(job)


@actor(queue_name=QUEUE)
def cancelled(job: Job) -> dict[str, object]:
    return _in_small_steps(job)


@actor(queue_name=QUEUE)
def poison(job: Job) -> None:
    _Effect(job)
    if (code := job.payload["exit"]) is None:
        os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(code)
