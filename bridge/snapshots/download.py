"""The last snapshot of a session as an archive, from what is kept of it: on any machine that has Git."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from bridge.errors import BridgeError
from bridge.snapshots.archive import archive
from bridge.snapshots.bundles import BundleStore, load
from bridge.snapshots.repository import Repository


class NothingSavedError(BridgeError):
    """No snapshot is kept of this session, or none that is good."""


class Download:
    """Of a `.tar.gz`: iterate over its pieces, once. `problem`: what is damaged of it, in one line.

    It uses a folder of this machine until it is closed. Raises NothingSavedError, GitError, and what the store raises.
    """

    def __init__(self, bundles: BundleStore, session_id: UUID) -> None:
        self._folder = tempfile.mkdtemp(prefix="mobvibe-archive-")
        try:
            self._repository = Repository(Path(self._folder) / "snapshots.git")
            with self._repository.locked():
                self.problem = load(self._repository, bundles, session_id)
            self._commit = self._repository.head()
            if self._commit is None:
                raise NothingSavedError(self.problem or f"no files of session {session_id} are saved yet")
            self.name = f"session-{str(session_id)[:8]}"
            self._pieces = archive(self._repository, self._commit, self.name)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
