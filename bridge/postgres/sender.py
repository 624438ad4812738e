"""`.send()`: Dramatiq's own API inserts a job, in a transaction of its own."""

import logging
import os
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from dramatiq import Message

from bridge.errors import DirectSendError, PayloadError, StoreUnavailableError
from bridge.postgres.actor_options import attempts_of
from bridge.postgres.json_text import to_json
from bridge.postgres.link import Link

logger = logging.getLogger(__name__)

_TRIES = 2  # the first may find that the link was lost; a second one is harmless, as the id is the same
_NOT_CARRIED = frozenset({"redis_message_id", "delay", "eta", "max_retries", "retries", "traceback"})


class Sender:
    """Inserts jobs for messages, over a link of its own that the first message opens. For any thread."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._pid = 0
        self._is_told = False

    def send(self, message: "Message[Any]", options: Mapping[str, Any], priority: int, delay: int | None) -> None:
        """Insert the job of `message`, whose actor has `options`, to run in `delay` milliseconds.

        `priority` is Dramatiq's: the lowest is the most urgent. In a row the highest is.

        A message is one job, however often it is sent. Raises DirectSendError for what cannot be a job,
        StoreUnavailableError if Postgres cannot store it.
        """
        params = {
            "id": _job_id(message),
            "actor": message.actor_name,
            "queue": message.queue_name,
            "payload": payload_of(message, options),
            "priority": -priority,
            "delay": timedelta(milliseconds=delay or 0),
            "max_retries": attempts_of(options, message.options.get("max_retries")),
        }
        with self._lock:
            rows = self._insert(params)
        if not rows:
            logger.warning("This message was sent before: it stays one job", extra={"jobId": message.message_id})
        if not self._is_told:
            self._is_told = True
            logger.warning(
                "A job was inserted by %s.send(), in a transaction of its own: it stays when the caller's is rolled "
                "back, and is lost when the process ends in between. enqueue() from bridge takes your connection. "
                "(Said once per process.)",
                message.actor_name,
            )

    def close(self) -> None:
        """Close the link. The next message opens it again."""
        with self._lock:
            if self._link is not None and self._pid == os.getpid():
                self._link.close()
            self._link = None

    def _insert(self, params: Mapping[str, Any]) -> list[Any]:
        if self._link is None or self._pid != os.getpid():  # a fork must not use its parent's connection
            self._link, self._pid = Link(self._dsn, "send"), os.getpid()
        for tries_left in reversed(range(_TRIES)):
            try:
                return self._link.call("send", params)
            except StoreUnavailableError:
                if not tries_left:
                    raise
        raise AssertionError("unreachable")


def _job_id(message: "Message[Any]") -> UUID:
    try:
        return UUID(message.message_id)
    except ValueError:
        raise DirectSendError(
            f"The id of a message is its job's: it must be a UUID, not {message.message_id[:80]!r}"
        ) from None


def payload_of(message: "Message[Any]", options: Mapping[str, Any]) -> str:
    """The payload of the job of `message`, as JSON. Raises DirectSendError for what cannot be a job."""
    carried = {name: value for name, value in message.options.items() if name not in _NOT_CARRIED}
    payload: Any
    if not options.get("takes_job"):
        payload = {"args": list(message.args), "kwargs": message.kwargs} | ({"options": carried} if carried else {})
    elif carried := {name: value for name, value in carried.items() if not name.startswith("_")}:  # not by a tracer
        raise DirectSendError(
            f"{message.actor_name!r} takes its job, and such an actor's messages have no options "
            f"({', '.join(sorted(carried))}): put them on the actor, or make it a plain dramatiq.actor"
        )
    else:
        payload = _only_argument(message)
    try:
        return to_json(payload, "payload")
    except PayloadError as error:
        raise DirectSendError(f"{message.actor_name}.send(): {error}") from None


def _only_argument(message: "Message[Any]") -> Any:
    if not message.args:
        return message.kwargs
    if len(message.args) == 1 and isinstance(message.args[0], Mapping) and not message.kwargs:
        return message.args[0]
    raise DirectSendError(
        f"{message.actor_name!r} takes its job: send() it one dict, which becomes job.payload, or the payload's keys "
        "as keyword arguments"
    )
