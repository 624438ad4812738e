"""A command that cannot be started. How they run otherwise is tried with real sandboxes."""

import errno
import os
from pathlib import Path

import pytest

from actors.coding.sandbox.daemon.call import Call


def test_one_that_gets_no_process_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    call = Call(str(tmp_path / "call"))
    opened = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(os, "fork", refused)
        with pytest.raises(BlockingIOError):
            call.start({}, b"")

    assert len(list(Path("/proc/self/fd").iterdir())) == opened
    call.remove()
