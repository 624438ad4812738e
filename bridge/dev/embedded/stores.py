"""Both embedded stores of one folder, used by one launcher at a time."""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from bridge.dev.embedded.postgres import EmbeddedPostgres
from bridge.dev.embedded.redis import EmbeddedRedis
from bridge.dev.embedded.register import end_leftovers
from bridge.errors import EmbeddedStoreError


class EmbeddedStores:
    """Postgres and Redis in `folder`, started and stopped together.

    The folder is locked while this process lives. The kernel releases the lock even after a crash; the next start
    then ends the servers that were left running.
    """

    def __init__(self, folder: Path, postgres_options: Mapping[str, str] | None = None) -> None:
        self.folder = folder.resolve()
        self.postgres = EmbeddedPostgres(self.folder, postgres_options)
        self.redis = EmbeddedRedis(self.folder)
        self._lock: IO[str] | None = None

    def open_folder(self) -> list[str]:
        """Create and lock the folder. Returns the names of old processes that it ended. Raises EmbeddedStoreError."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.folder / "launcher.lock").open("a+")
            (self.folder / ".gitignore").write_text("*\n")  # passwords and a database must not be committed
        except PermissionError as error:
            raise EmbeddedStoreError(
                f"{error.filename} belongs to another user. Remove it, or set MOBVIBE_DIR."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise EmbeddedStoreError(
                f"mobvibe up is already running in this folder (pid {owner}). Stop it first."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        return end_leftovers(self.folder)

    def start(self, *, postgres_port: int | None = None, redis_port: int | None = None) -> None:
        """Start both. When one fails, the other is stopped too."""
        try:
            self.postgres.start(postgres_port)
            self.redis.start(redis_port)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both and unlock the folder."""
        self.redis.stop()
        self.postgres.stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
