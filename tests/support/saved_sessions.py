"""Sessions whose files are kept, as by turns that have ended."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from bridge.postgres.bundles import PostgresBundles
from bridge.postgres.turns import TurnKey
from bridge.snapshots.bundles import keep
from bridge.snapshots.repository import FILE, File, Repository
from tests.support.rows import Rows
from tests.support.steps import Steps


def saved_session(steps: Steps, rows: Rows, folder: Path, files: Mapping[str, bytes], **columns: Any) -> UUID:
    session_id = rows.add_session(**columns)
    rows.add_job(session_id=session_id)
    held = steps.started()
    repository = Repository(folder / "snapshots.git")
    with repository.locked():
        repository.commit("turn 1", [], [File(name.encode(), FILE, content) for name, content in files.items()])
        keep(repository, PostgresBundles(steps.link.call, TurnKey(held.job_id, held.fence)), session_id, 10_000_000)
    return session_id


def files_in(archive: bytes) -> dict[str, bytes]:
    """By their names below the folder of the archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        files = {member.name.partition("/")[2]: opened.extractfile(member) for member in opened}
        return {name: file.read() for name, file in files.items() if file is not None}
