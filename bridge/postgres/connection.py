"""A connection to Postgres that does not wait for ever for an answer."""

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.rows import DictRow

T = TypeVar("T")

# Server → when a link to it was found dead. Links that have been idle since before that time are not used any more:
# otherwise a job could wait once for each of them, one after the other.
found_dead: dict[tuple[str, int], float] = {}


class Connection(psycopg.Connection[DictRow]):
    """A connection that does not wait for ever for an answer.

    Postgres ends a statement that takes too long, and TCP ends a link whose other end is gone. Both fail when a proxy
    in between acknowledges data that it cannot deliver: then the link is closed here.
    """

    answer_seconds = 10.0  # for the first statement, as long as TCP waits (connect.py); then `prepare` sets it
    is_served = False  # a statement after the log-in was answered, too
    # A pooler may give the session of the server to other clients: settings made there are not ours alone.
    is_pooled = False
    keeps_session: bool | None = None  # behind a pooler: whether it does not (pooling.py); None: not known
    dsn = ""  # where it leads

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        return super().wait(self._bounded(gen, time.monotonic() + self.answer_seconds), *args, **kwargs)

    def _bounded(self, gen: Generator[Any, Any, T], deadline: float) -> Generator[Any, Any, T]:
        """The driver's generator `gen` with a deadline: the driver resumes it several times a second while it waits."""
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    raise self._given_up()
                wanted = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result

    def _given_up(self) -> psycopg.OperationalError:
        if not self.is_served:  # no reason to distrust links that work
            self.pgconn.finish()
            return psycopg.errors.TooManyConnections(
                f"logged in, and no answer to the first statement for {self.answer_seconds:g} s: probably a "
                "pooler has no connection free"
            )
        found_dead[self.info.host, self.info.port] = time.monotonic()
        self.pgconn.finish()
        return psycopg.OperationalError(f"no answer for {self.answer_seconds:g} s, the link is taken for dead")
