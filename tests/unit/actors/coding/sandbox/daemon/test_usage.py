"""The room that files take, and when it is too much."""

import errno
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actors.coding.sandbox.daemon import usage
from actors.coding.sandbox.daemon.usage import MB, Usage, bytes_of


def is_over(counted: Usage) -> bool:
    result = counted.start()
    assert result is not None
    assert select.select([result], [], [], 10)[0]
    return counted.is_over(result)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(usage, "SHARE", 0)


def test_files_folders_and_links_count_and_what_links_stand_for_does_not(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x" * MB)
    (tmp_path / "up").symlink_to("..")

    assert MB < bytes_of(str(tmp_path)) < 1.1 * MB
    assert bytes_of(str(tmp_path / "none")) == 0


def test_only_what_is_too_much_and_grows_is_over(tmp_path: Path) -> None:
    counted = Usage([str(tmp_path)], limit_mb=2)
    big = tmp_path / "big"

    sizes = [3, 3, 4, 3, 1, 2, 3]
    over = []
    for size in sizes:
        big.write_bytes(b"x" * size * MB)
        over.append(is_over(counted))

    assert over == [False, False, True, False, False, True, True]


def test_a_full_drive_is_over_for_what_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "FREE_MB", 10**9)
    counted = Usage([str(tmp_path)], limit_mb=2)

    assert not is_over(counted)
    (tmp_path / "file").write_bytes(b"x")
    assert is_over(counted)
    assert not is_over(counted)


def test_counts_follow_each_other_with_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "PAUSE_SECONDS", 60)
    counted = Usage([str(tmp_path)], limit_mb=2)
    is_over(counted)

    assert counted.start() is None


def test_where_no_process_is_to_be_had_the_next_count_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    counted = Usage([str(tmp_path)], limit_mb=2)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(os, "fork", refused)
        opened = len(list(Path("/proc/self/fd").iterdir()))
        assert counted.start() is None
        assert len(list(Path("/proc/self/fd").iterdir())) == opened

    assert not is_over(counted)


def test_a_count_that_was_killed_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken for an empty sandbox, it would make growth of the next count, and end what makes room."""
    counted = Usage([str(tmp_path)], limit_mb=2)
    (tmp_path / "big").write_bytes(b"x" * 4 * MB)
    assert not is_over(counted)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(usage, "bytes_of", lambda _: os.kill(os.getpid(), signal.SIGKILL))
        assert not is_over(counted)

    assert not is_over(counted), "it has not grown"
    (tmp_path / "more").write_bytes(b"x")
    assert is_over(counted)


COUNTING = """
import time
from actors.coding.sandbox.daemon import usage

usage.bytes_of = lambda _: print("counting", flush=True) or time.sleep(60)
usage.Usage(["."], 2).start()
time.sleep(60)
"""


def test_a_count_ends_with_its_daemon(tmp_path: Path) -> None:
    """It would keep the next attempt waiting for the lock, and its worker for the end of what the daemon writes to."""
    imports = "import sys, types\nsys.modules['actors'] = types.ModuleType('actors')\n"
    place = f"sys.modules['actors'].__path__ = [{str(Path(usage.__file__).parents[3])!r}]\n"
    with subprocess.Popen([sys.executable, "-c", imports + place + COUNTING], stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"counting\n"

        daemon.send_signal(signal.SIGKILL)

        assert select.select([daemon.stdout], [], [], 10)[0], "the count has not ended"
        assert daemon.stdout.read() == b""
