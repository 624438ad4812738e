"""A connection to Postgres that does not wait for ever for an answer."""

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.rows import DictRow

T = TypeVar("T")

# Server → when a link to it was found dead. Other links that were idle since before are not trusted then:
# each would cost the same wait once more, one after the other on the way of a job.
found_dead: dict[tuple[str, int], float] = {}


class Connection(psycopg.Connection[DictRow]):
    """A connection that does not wait for ever for an answer.

    Postgres ends a statement that takes too long, and TCP a link whose other end is gone. A proxy in between
    that acknowledges what it cannot deliver defeats both: then the link is closed here.
    """

    answer_seconds = 10.0
    is_served = False  # after the log-in a statement was answered, too
    is_pooled = False  # the session at the other end is nobody's own: what is set on it others find, or we do

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        return super().wait(self._bounded(gen, time.monotonic() + self.answer_seconds), *args, **kwargs)

    def _bounded(self, gen: Generator[Any, Any, T], deadline: float) -> Generator[Any, Any, T]:
        """The driver's own dialogue with the link, which it resumes with nothing several times a second."""
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
        if not self.is_served:  # says nothing about links that work
            self.pgconn.finish()
            return psycopg.errors.TooManyConnections(
                f"logged in, and no answer to the first statement for {self.answer_seconds:g} s: so waits who gets no "
                "connection from a pooler"
            )
        found_dead[self.info.host, self.info.port] = time.monotonic()
        self.pgconn.finish()
        return psycopg.OperationalError(f"no answer for {self.answer_seconds:g} s, the link is taken for dead")
