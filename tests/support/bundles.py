"""A store of bundles in memory."""

from collections import defaultdict
from collections.abc import Iterator
from uuid import UUID

from bridge.snapshots.bundles import Bundle, Stored


class MemoryBundles:
    """`kept` may be changed, as by damage."""

    def __init__(self) -> None:
        self.kept: dict[UUID, list[Bundle]] = defaultdict(list)

    def stored(self, session_id: UUID) -> Stored:
        bundles = self.kept[session_id]
        last = bundles[-1].commit if bundles else None
        return Stored(last, len(bundles), sum(len(bundle.data) for bundle in bundles))

    def put(self, session_id: UUID, base: str | None, commit: str, data: bytes) -> None:
        bundles = self.kept[session_id]
        if base is None:
            bundles.clear()
        assert base == (bundles[-1].commit if bundles else None)
        bundles.append(Bundle(base, commit, data))

    def all(self, session_id: UUID, after: str | None = None) -> Iterator[Bundle]:
        bundles = self.kept[session_id]
        commits = [bundle.commit for bundle in bundles]
        return iter(bundles[commits.index(after) + 1 :] if after in commits else bundles)
