"""What the transport calls of a worker process: it decodes messages, and decides which of their jobs run here."""

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
    """Raised by the first hook: no other hook has seen the message, so no hook is called for the skip."""


class JobMessage(MessageProxy, Generic[Key, Run]):
    """One job of a message, as Dramatiq's worker threads see it. `redis_id` is the id of the message it came in.

    It has its own fields, because Dramatiq reads them a dozen times for each job, and MessageProxy is slow.
    `key`, `run` and `urgency` are for the worker process, which chooses the types of the first two: the attempt to
    start (None for Dramatiq's own messages), the run once it is started, and the job's priority. `skipped`: who skipped
    it, and the SkipMessage.
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
        """When the job was inserted, in milliseconds. Each read is a query to Postgres."""
        return self._created_ms()

    @property
    def _message(self) -> "Message[Any]":  # type: ignore[override]
        """Made only on demand, and maybe logged: so a job is shown by its id, without its prompt."""
        args = tuple(str(one.id) if isinstance(one, Job) else one for one in self.args)
        return Message(
            self.queue_name, self.actor_name, args, self.kwargs, self.options, self.message_id, self.message_timestamp
        )

    def __str__(self) -> str:
        return f"{self.actor_name}({self.message_id})"  # never its arguments: they may be secret


AnyMessage = JobMessage[Any, Any]
PlainMessage = JobMessage[None, None]


class Intake(Protocol):
    """What a consumer calls of its worker process, from the threads of several consumers.

    `takes_any`: messages with any id are taken, not only those with an id that `seal` makes.
    """

    takes_any: bool

    def open(self, data: bytes, queue_name: str, redis_id: str) -> list[AnyMessage]:
        """The jobs in a message. Raises BadMessageError."""

    def start(self, messages: Sequence[AnyMessage]) -> tuple[list[AnyMessage], list[AnyMessage]]:
        """Start jobs. Returns those that run here now, and those to try again later; the others are not ours.

        Raises StoreUnavailableError if Postgres does not answer.
        """

    def urgent(self, priority: int, jobs: int, *, hold: bool) -> None:
        """So many jobs of this priority were published, `hold` up others until they began; -1 when one did."""

    def rejected(self, error: BadMessageError, data: bytes) -> None:
        """A message was moved to the dead letters."""

    def returned(self, messages: Sequence[AnyMessage]) -> Sequence[AnyMessage]:
        """Jobs that will not run here any more. Returns those whose messages must stay in Redis."""


class PlainIntake:
    """For Dramatiq's own messages: each is one job, and all of them run."""

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

    def urgent(self, priority: int, jobs: int, *, hold: bool) -> None:
        pass

    def rejected(self, error: BadMessageError, data: bytes) -> None:
        pass

    def returned(self, messages: Sequence[PlainMessage]) -> Sequence[PlainMessage]:
        return messages
