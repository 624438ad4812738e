"""Snapshots kept outside of the machine that made them, as Git bundles: each leads from the one before to a commit."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol
from uuid import UUID

from bridge.snapshots.git import GitError
from bridge.snapshots.repository import Repository

MOST_BUNDLES = 64  # of a session: each takes some milliseconds to bring back


class Bundle(NamedTuple):
    """`base` None: it holds all that leads to `commit`."""

    base: str | None
    commit: str
    data: bytes


class Stored(NamedTuple):
    """The last commit that is kept, and of all bundles of the session their number and bytes."""

    commit: str | None
    bundles: int
    size: int


class BundleStore(Protocol):
    def stored(self, session_id: UUID) -> Stored: ...

    def put(self, session_id: UUID, base: str | None, commit: str, data: bytes) -> None:
        """Keep a bundle. One without a base replaces all of the session; another must follow the last one.

        One whose commit is the last already is left as it is. Raises NotOursError: another attempt has the session.
        """

    def all(self, session_id: UUID, after: str | None = None) -> Iterator[Bundle]:
        """In order, from the one that follows the commit `after`; if there is no such commit, from the first."""


def load(repository: Repository, bundles: BundleStore, session_id: UUID) -> str | None:
    """Bring the repository, which must be locked, to the last commit that is kept, if it does not have it.

    When bundles are damaged or missing, it is brought to the last good commit. Returns that problem in one line.
    """
    commit = bundles.stored(session_id).commit
    if commit is None or repository.has(commit):
        return None
    for bundle in bundles.all(session_id, after=repository.head()):
        try:
            repository.add_bundle(bundle.data, bundle.commit)
        except GitError as error:
            damaged = f"the saved workspace is damaged from commit {bundle.commit[:10]} on ({error})"
            return f"{damaged}: {_left(repository)}"
    return None


def _left(repository: Repository) -> str:
    head = repository.head()
    return f"its files are those of commit {head[:10]}" if head else "nothing of it can be brought back"


def keep(repository: Repository, bundles: BundleStore, session_id: UUID, most_bytes: int) -> bool:
    """Put what is new in the repository, which must be locked, into the store. False: it takes more than `most_bytes`.

    So that the bundles do not grow in number and size without end, the last commit at times becomes the first one.
    """
    stored = bundles.stored(session_id)
    head = repository.head()
    if head is None or head == stored.commit:
        return True
    if stored.commit is None or (stored.bundles < MOST_BUNDLES and repository.has(stored.commit)):
        data = repository.bundle(stored.commit)
        if stored.size + len(data) <= most_bytes:
            bundles.put(session_id, stored.commit, head, data)
            return True
    first = repository.forget_the_past()
    data = repository.bundle(None)
    if len(data) > most_bytes:
        return False
    bundles.put(session_id, None, first, data)
    return True
