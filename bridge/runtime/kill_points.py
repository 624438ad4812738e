"""Named places where a test can kill a process, to prove that nothing is lost when it dies there.

Armed only by the environment, which is read once at import: MOBVIBE_TEST_BUILD=1 and MOBVIBE_KILL_POINT=name, or
name:n for the n-th pass. Armed in development alone. A kill point that is not armed is a call that does nothing.
"""

import os
import re
import signal
import threading
from collections.abc import Callable, Mapping

KILL_POINTS = (
    "claim.committed",  # jobs are claimed, but not handed over
    "publish.sent",  # jobs are handed over, but the bridge has not recorded it
    "deliver.received",  # a worker has the messages, but has started none
    "start.committed",  # jobs are started in Postgres, but no actor has run
    "effect.done",  # the actor has done its work, but nothing is reported; called by actors of tests
    "message.stored",  # a message of a turn is stored, and nothing that follows from it has begun
    "call.started",  # a tool call counts as started, but does not run yet
    "call.ran",  # a tool call has run, but its result is not stored
    "call.finished",  # the result of a tool call is stored, but not yet part of the conversation
    "turn.ended",  # a turn is over, but its job is not reported
    "complete.committed",  # the reports are written, but the messages may not be acknowledged in Redis
)
_DEVELOPMENT = {"", "development"}


def _nothing(name: str) -> None:
    pass


def arm(environment: Mapping[str, str], die: Callable[[], None]) -> Callable[[str], None]:
    """The function to call at each kill point. It does nothing unless all the conditions above hold."""
    modes = {environment.get(name, "").strip().lower() for name in ("NODE_ENV", "APP_ENV")}
    wanted = re.fullmatch(r"([a-z.]+)(?::([1-9]\d*))?", environment.get("MOBVIBE_KILL_POINT", ""))
    if environment.get("MOBVIBE_TEST_BUILD") != "1" or not modes <= _DEVELOPMENT or wanted is None:
        return _nothing
    armed, lock, left = wanted[1], threading.Lock(), [int(wanted[2] or 1)]

    def pass_by(name: str) -> None:
        if name == armed:
            with lock:
                left[0] -= 1
                if left[0] == 0:
                    die()

    return pass_by


kill_point = arm(os.environ, lambda: os.kill(os.getpid(), signal.SIGKILL))
