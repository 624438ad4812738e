"""The exceptions that several folders of this package share, named for what the caller can do about them.

Other exceptions are defined beside the code that raises them.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta

# Exit codes of commands, for scripts: trying again may help after the first, and needs a change after the second.
EXIT_UNAVAILABLE, EXIT_REFUSED = 3, 4


class BridgeError(Exception):
    """Ends a command with one clear line and `exit_code`, never with a traceback."""

    exit_code = 1
    rest_most_seconds = 1.0  # longest pause before a retry: a store that is back is in use again within two seconds


class SettingsError(BridgeError):
    """A setting is missing, malformed or contradicts another one."""


class PortTakenError(BridgeError):
    """We cannot listen on the configured address: it is taken, privileged, or not of this machine."""


class StoreUnavailableError(BridgeError):
    """A store does not answer. Waiting may help; the caller decides how long."""

    exit_code = EXIT_UNAVAILABLE
    store = "a store"
    condition = "is unreachable"  # follows the store's name in log lines
    waiting_helps = True  # False: it answers, and refuses until an operator changes something


class PostgresUnavailableError(StoreUnavailableError):
    store = "Postgres"


class PostgresUnfitError(PostgresUnavailableError):
    """The address and the server do not fit, or a pooler's sessions do not serve: somebody must change something."""

    exit_code = EXIT_REFUSED
    condition = "cannot be used this way"
    waiting_helps = False


class NoConnectionFreeError(PostgresUnavailableError):
    """The connection limit of Postgres, or of a pooler before it, is reached. Open connections still work."""

    condition = "has no connection free"
    rest_most_seconds = 5.0  # each try costs the server a process, or a place in the pooler's queue


class PostgresBusyError(PostgresUnavailableError):
    """Postgres answers, but this statement failed: a lock, a timeout, a deadlock, an internal error. Retry it."""

    condition = "is busy"


class PostgresSetupError(PostgresBusyError):
    """The set-up of the database does not allow this statement. It is retried: an operator may change the set-up."""

    condition = "does not allow this the way it is set up"


class UnfitSessionError(PostgresUnavailableError):
    """This session cannot be used: read-only, with plans of an earlier schema, or shared. A new one may work."""

    condition = "does not serve this session"


class ReadOnlyError(UnfitSessionError):
    """The database accepts no writes: it is a standby, or a setting says so, which each session reads at its start."""

    condition = "is read-only"


class PostgresRefusedError(BridgeError):
    """Postgres refuses this because of the data itself, so retrying cannot help.

    The caller gives the item up. Therefore only SQLSTATEs that the data itself can cause become this error.
    """


class RedisUnavailableError(StoreUnavailableError):
    store = "Redis"

    def __init__(self, text: str = "", queues: Collection[str] = ()) -> None:
        super().__init__(text)
        self.queues = frozenset(queues)  # only these failed; empty: all of them

    def concerns(self, queue: str) -> bool:
        return not self.queues or queue in self.queues


class RedisUnfitError(RedisUnavailableError):
    """The server at REDIS_URL is not a Redis that we can use: a Sentinel, a cluster, another protocol, too old."""

    exit_code = 1
    condition = "is not the server that is needed"
    waiting_helps = False


class RedisAccessError(RedisUnavailableError):
    """Redis answers, but refuses our password or user, or the user lacks rights that we need."""

    exit_code = EXIT_REFUSED
    condition = "refuses this user"
    waiting_helps = False


class WrongKeyError(RedisUnavailableError):
    """One of our keys has another type: another application wrote it. `reasons`: queue → which key, and what to do."""

    exit_code = EXIT_REFUSED
    condition = "has a key of another type"
    waiting_helps = False

    def __init__(self, text: str = "", queues: Collection[str] = (), reasons: Mapping[str, str] | None = None) -> None:
        super().__init__(text, queues)
        self._reasons = reasons or {}

    def reason_of(self, queue: str) -> str:
        return self._reasons.get(queue, str(self))


class NamespaceTakenError(RedisUnavailableError):
    """The Redis namespace has the mark of another database: its messages are not ours, and its workers not for ours."""

    exit_code = EXIT_REFUSED
    condition = "has the mark of another database"
    waiting_helps = False


class SchemaError(BridgeError):
    """The database is not migrated, or has the schema of another version."""

    exit_code = EXIT_REFUSED


class RightsError(BridgeError):
    """The database role lacks a right that the bridge needs."""

    exit_code = EXIT_REFUSED


# Errors that are not of one job: an outage passes, and an operator may be about to migrate or to grant.
MAY_PASS = (StoreUnavailableError, RightsError, SchemaError)


class EmbeddedStoreError(BridgeError):
    """An embedded store cannot be started here."""


class PayloadError(BridgeError, ValueError):
    """A payload, result or event that cannot be stored as JSON in Postgres."""


class BadMessageError(BridgeError):
    """A Redis message that is not one of ours. `reason` is a short fixed text, for counting."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class NotOursError(BridgeError):
    """The attempt is not the job's current one any more: what it writes is refused, and how it ends is not reported."""


class DirectSendError(BridgeError):
    """A message given to `.send()` cannot be a job. An actor that sends one fails, with no further attempt."""


class Fail(Exception):  # noqa: N818 -- a verb: an actor raises it to request this
    """Raise in an actor to fail the job at once, with no further attempt."""


class Retry(Exception):  # noqa: N818 -- a verb, as above
    """Raise in an actor to fail this attempt and set the wait before the next one.

    `delay` is in seconds, or a timedelta; None keeps the usual backoff.
    """

    def __init__(self, message: str = "retry requested", *, delay: float | timedelta | None = None) -> None:
        super().__init__(message)
        self.delay = timedelta(seconds=delay) if isinstance(delay, int | float) else delay


class Release(Exception):  # noqa: N818 -- a verb, as above
    """Raise in an actor to hand the job back unfinished: no retry is spent, and it is attempted again.

    `delay` is in seconds, or a timedelta, before it may be claimed again; None is at once. A job that is handed back
    often waits longer, so that it cannot go round without end.
    """

    def __init__(self, message: str = "handed back", *, delay: float | timedelta | None = None) -> None:
        super().__init__(message)
        self.delay = timedelta(seconds=delay) if isinstance(delay, int | float) else delay
