"""Every exception this package raises, named for what the caller can do about it."""

from collections.abc import Collection, Mapping
from datetime import timedelta


class BridgeError(Exception):
    """Ends a command with one clear line and `exit_code`; never with a traceback."""

    exit_code = 1
    rest_most_seconds = 1.0  # for a thread that tries again: a store that is back is in use within two seconds


class SettingsError(BridgeError):
    """A setting is missing, malformed or contradicts another one."""


class PortTakenError(BridgeError):
    """Somebody else listens on the address we were told to use."""


class StoreUnavailableError(BridgeError):
    """A store does not answer. Waiting may help; whoever calls decides for how long."""

    exit_code = 3
    store = "a store"
    condition = "is unreachable"
    waiting_helps = True  # False: it answers, and will say the same until somebody changes a setting


class PostgresUnavailableError(StoreUnavailableError):
    store = "Postgres"


class NoConnectionFreeError(PostgresUnavailableError):
    """A limit on connections is reached, in Postgres or in a pooler before it. What is connected already works on."""

    condition = "has no connection free"
    rest_most_seconds = 5.0  # each try costs the server a process, or the pooler a place in its line


class PostgresBusyError(PostgresUnavailableError):
    """Postgres answers, but this statement did not get through: a lock, a timeout, a deadlock, a bug of its own."""

    condition = "is busy"


class PostgresSetupError(PostgresBusyError):
    """The database as somebody has set it up does not allow this statement: tried again, for they may change it."""

    condition = "does not allow this the way it is set up"


class UnfitSessionError(PostgresUnavailableError):
    """This session does not serve: read-only, planned for an earlier schema, or not ours alone. A new one may."""

    condition = "does not serve this session"


class ReadOnlyError(UnfitSessionError):
    """The database takes no writes: a standby, or a setting, which a session keeps as it was at its start."""

    condition = "is read-only"


class PostgresRefusedError(BridgeError):
    """Postgres will not take this, now or later: its data, not the weather.

    What is refused is given up, so only errors count that the data itself can cause.
    """


class RedisUnavailableError(StoreUnavailableError):
    store = "Redis"

    def __init__(self, text: str = "", queues: Collection[str] = ()) -> None:
        super().__init__(text)
        self.queues = frozenset(queues)  # that alone were not served; none for all

    def concerns(self, queue: str) -> bool:
        return not self.queues or queue in self.queues


class RedisUnfitError(RedisUnavailableError):
    """What answers at REDIS_URL is no Redis that can serve us: a Sentinel, a cluster, another protocol, too old."""

    exit_code = 1
    condition = "is not the server that is needed"
    waiting_helps = False


class RedisRefusedError(RedisUnavailableError):
    """Redis answers and does not let us in, or not at what we need: password, user, rights."""

    exit_code = 4
    condition = "refuses this user"
    waiting_helps = False


class WrongKeyError(RedisUnavailableError):
    """A key of ours has another type: somebody else wrote it. `reasons` says by queue which, and what to do."""

    exit_code = 4
    condition = "has a key of another type"
    waiting_helps = False

    def __init__(self, text: str = "", queues: Collection[str] = (), reasons: Mapping[str, str] | None = None) -> None:
        super().__init__(text, queues)
        self._reasons = reasons or {}

    def reason_of(self, queue: str) -> str:
        return self._reasons.get(queue, str(self))


class NamespaceTakenError(RedisUnavailableError):
    """The namespace carries the mark of another database: its messages are not ours, nor ours its workers'."""

    exit_code = 4
    condition = "has the mark of another database"
    waiting_helps = False


class SchemaError(BridgeError):
    """The database is not migrated, or by a newer version than this one."""

    exit_code = 4


class RightsError(BridgeError):
    """The database role may not do what the bridge needs."""

    exit_code = 4


class EmbeddedStoreError(BridgeError):
    """An embedded store cannot be started here."""


class PayloadError(BridgeError, ValueError):
    """A payload, result or event that cannot be stored as JSON in Postgres."""


class BadMessageError(BridgeError):
    """A Redis message that is not ours: `reason` is a short fixed word, for counting."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class DirectSendError(BridgeError):
    """What was given to `.send()` cannot be a job. The actor that sent it fails, with no further attempt."""


class Fail(Exception):  # noqa: N818 -- a verb: the actor says what shall happen
    """Raise in an actor to fail the job at once, with no further attempt."""


class Retry(Exception):  # noqa: N818 -- a verb, as above
    """Raise in an actor to fail this attempt and choose the wait before the next one.

    `delay` is in seconds, or a timedelta; None keeps the usual backoff.
    """

    def __init__(self, message: str = "retry requested", *, delay: float | timedelta | None = None) -> None:
        super().__init__(message)
        self.delay = timedelta(seconds=delay) if isinstance(delay, int | float) else delay
