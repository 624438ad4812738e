"""Named places where a process can be made to die, to prove that nothing is lost when it does.

Armed by the environment alone, read once at import: MOBVIBE_TEST_BUILD=1 and MOBVIBE_KILL_POINT=name or name:n,
the n-th pass. Never in production. Where nothing is armed a kill point is a call that does nothing.
"""

import os
import re
import signal
import threading
from collections.abc import Callable, Mapping

KILL_POINTS = (
    "claim.committed",  # jobs are claimed, and not handed over
    "publish.sent",  # handed over, and the bridge does not know it yet
    "deliver.received",  # a worker has the messages, and has started nothing
    "start.committed",  # started in Postgres, and no actor has run
    "effect.done",  # the actor did its work, and nothing is reported; passed by actors of tests
    "complete.committed",  # the reports are written, and Redis may not know it yet
)
_PRODUCTION = "production"


def _nothing(name: str) -> None:
    pass


def arm(environment: Mapping[str, str], die: Callable[[], None]) -> Callable[[str], None]:
    """The function to call at each kill point; one that does nothing unless all of the conditions hold."""
    modes = {environment.get(name, "").strip().lower() for name in ("NODE_ENV", "APP_ENV")}
    wanted = re.fullmatch(r"([a-z.]+)(?::([1-9]\d*))?", environment.get("MOBVIBE_KILL_POINT", ""))
    if environment.get("MOBVIBE_TEST_BUILD") != "1" or _PRODUCTION in modes or wanted is None:
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
