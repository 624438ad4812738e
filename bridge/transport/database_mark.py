"""The database that a Redis namespace belongs to, checked by each script that publishes or takes messages."""

from collections.abc import Iterator
from contextlib import contextmanager

from bridge.errors import NamespaceTakenError, WrongKeyError
from bridge.transport.client import Client, discovery_of, translate_redis_errors
from bridge.transport.names import names_of
from bridge.transport.wrong_keys import named


class DatabaseMark:
    """`<namespace>:__database__`: the id and the name of a database, set by the first process and kept from then on.

    The scripts compare it with `text`, and set it again when Redis was emptied. With an empty `text`, before it is
    known which database is ours, they do neither.
    """

    def __init__(self, client: Client, namespace: str, text: str = "") -> None:
        self._client = client
        self._namespace = namespace
        self._key = names_of(client, namespace).owner
        self.text = text

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """For the call of a script that checks the mark: raises NamespaceTakenError for another database's."""
        try:
            with translate_redis_errors():
                yield
        except NamespaceTakenError as error:
            raise self._taken(str(error)) from error

    def take(self) -> None:
        """Make the namespace ours, or see that it still is. Raises NamespaceTakenError."""
        if not self.text:
            return
        with translate_redis_errors():
            self._client.set(self._key, self.text, nx=True)
        self.compare()

    def compare(self) -> str:
        """As `check`, but sets nothing. Returns the mark that is there, or an empty text."""
        try:
            with translate_redis_errors():
                found: bytes | None = self._client.get(self._key)  # type: ignore[assignment]
        except WrongKeyError as error:
            raise named(error, self._client, {self._key: "string"}) from error
        owner = (found or b"").decode("utf-8", "replace")
        if self.text and owner and owner != self.text:
            raise self._taken(owner)
        return owner

    def _taken(self, owner: str) -> NamespaceTakenError:
        discovery = discovery_of(self._client)
        server = "-h {} -p {}".format(*discovery.address) if discovery and discovery.address else "-u $REDIS_URL"
        return NamespaceTakenError(
            f"The Redis namespace {self._namespace!r} belongs to the database {_shown(owner)}, and DATABASE_URL leads "
            f"to {_shown(self.text)}. Give each bridge and its workers a namespace of their own: REDIS_NAMESPACE=… "
            f"Only if the other database no longer exists or has moved here, take it over: redis-cli {server} DEL "
            f"{self._key}"
        )


def _shown(mark: str) -> str:
    """A mark is "<id> <name>", but any client may have written it."""
    number, _, name = mark.partition(" ")
    return f"{name[:63]!r} (id {number[:8]})" if name else repr(mark[:80])
