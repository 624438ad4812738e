"""What the transport asks of a worker process: how bytes become jobs, and which of the jobs run here."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from dramatiq import Message
from dramatiq.broker import MessageProxy
from dramatiq.middleware import SkipMessage

from bridge.errors import BadMessageError
from bridge.job import Job

Key = TypeVar("Key")
Run = TypeVar("Run")


class UnseenMessageError(SkipMessage):
    """Raised by the first hook of all: no other hook has seen the message, so none is called for the skip."""


class JobMessage(MessageProxy, Generic[Key, Run]):
    """One job of a message, as Dramatiq's worker threads see it. `redis_id` names the message it came in.

    Its fields are its own: Dramatiq asks for them a dozen times a job, and the way through the proxy is long.
    `key`, `run` and `urgency` are for the worker process, which chooses the types of the first two: what it asks for
    (None: nothing, a message of Dramatiq's own), what it got, and which of two jobs goes first. `skipped` says by whom
    it was, and with which SkipMessage.
    """

    def __init__(
        self,
        queue_name: str,
        actor_name: str,
        message_id: str,
        redis_id: str,
        key: Key,
        args: tuple[Any, ...] = (),
        created_ms: Callable[[], int] = int,
    ) -> None:
        self.failed = False
        self._exception = None
        self.queue_name = queue_name
        self.actor_name = actor_name
        self.args = args
        self.kwargs: dict[str, Any] = {}
        self.options: dict[str, Any] = {"redis_message_id": redis_id}
        self.message_id = message_id
        self._created_ms = created_ms
        self.redis_id = redis_id
        self.key = key
        self.run: Run | None = None
        self.skipped: tuple[str, BaseException] | None = None
        self.urgency = 0

    @property
    def message_timestamp(self) -> int:  # type: ignore[override]
        """When the job was inserted, in milliseconds. Asked of Postgres, by those who want to know."""
        return self._created_ms()

    @property
    def _message(self) -> "Message[Any]":  # type: ignore[override]
        """Made only when somebody wants to see it, and to write it down: of a job that is its id, and no prompt."""
        args = tuple(str(one.id) if isinstance(one, Job) else one for one in self.args)
        return Message(
            self.queue_name, self.actor_name, args, self.kwargs, self.options, self.message_id, self.message_timestamp
        )

    def __str__(self) -> str:
        return f"{self.actor_name}({self.message_id})"  # never its arguments: they may be anything


AnyMessage = JobMessage[Any, Any]
PlainMessage = JobMessage[None, None]


class Intake(Protocol):
    """What a consumer asks of its worker process. All may be called from several consumers' threads.

    `takes_any` message, or only those with an id as `seal` makes it.
    """

    takes_any: bool

    def open(self, data: bytes, queue_name: str, redis_id: str) -> list[AnyMessage]:
        """The jobs in a message. Raises BadMessageError."""

    def start(self, messages: Sequence[AnyMessage]) -> tuple[list[AnyMessage], list[AnyMessage]]:
        """Take up jobs: those that are to run here, and those to ask about again; the rest is not ours.

        Raises StoreUnavailableError when nobody can say.
        """

    def refused(self, error: BadMessageError, data: bytes) -> None:
        """A message was put aside."""

    def returned(self, messages: Sequence[AnyMessage]) -> Sequence[AnyMessage]:
        """Jobs that cannot run here any more; gives back those whose messages Redis shall keep."""


class PlainIntake:
    """Dramatiq's own messages, one job each, all of them to run."""

    takes_any = True

    def open(self, data: bytes, queue_name: str, redis_id: str) -> list[PlainMessage]:  # noqa: ARG002
        message: Message[Any] = Message.decode(data)
        if message.options.get("redis_message_id") != redis_id:
            raise BadMessageError("wrong_id")
        opened: PlainMessage = JobMessage(
            message.queue_name, message.actor_name, message.message_id, redis_id, None, message.args,
            lambda: message.message_timestamp,
        )  # fmt: skip
        opened.kwargs, opened.options = message.kwargs, message.options
        return [opened]

    def start(self, messages: Sequence[PlainMessage]) -> tuple[list[PlainMessage], list[PlainMessage]]:
        return list(messages), []

    def refused(self, error: BadMessageError, data: bytes) -> None:
        pass

    def returned(self, messages: Sequence[PlainMessage]) -> Sequence[PlainMessage]:
        return messages
