"""Bundles of snapshots in Postgres."""

from collections.abc import Iterator
from uuid import UUID

from bridge.errors import NotOursError
from bridge.postgres.job_list import Call
from bridge.postgres.turns import TurnKey
from bridge.snapshots.bundles import Bundle, Stored


class PostgresBundles:
    """A BundleStore. `writer` None: it only reads."""

    def __init__(self, call: Call, writer: TurnKey | None = None) -> None:
        self._call = call
        self._writer = writer

    def stored(self, session_id: UUID) -> Stored:
        return Stored(**self._call("stored_bundles", {"session": session_id})[0])

    def put(self, session_id: UUID, base: str | None, commit: str, data: bytes) -> None:
        """The session is the one of the attempt's job."""
        if self._writer is None:
            raise NotOursError(f"no attempt has session {session_id}: nothing is stored")
        rows = self._call(
            "put_session_bundle", {**self._writer._asdict(), "base": base, "commit": commit, "data": data}
        )
        if not rows[0]["held"]:
            raise NotOursError("this attempt is not the job's current one any more: the snapshot is not stored")

    def all(self, session_id: UUID, after: str | None = None) -> Iterator[Bundle]:
        """One at a time: together they may take much memory."""
        while rows := self._call("next_bundle", {"session": session_id, "after": after}):
            bundle = Bundle(**rows[0])
            yield bundle
            after = bundle.commit
