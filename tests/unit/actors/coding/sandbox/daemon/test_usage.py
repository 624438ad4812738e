"""The room that files take, and when it is too much."""

import errno
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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


Listing = AbstractContextManager[Iterator["os.DirEntry[str]"]]


def after_each_listing(act: Callable[[], None]) -> Callable[[str | int], Listing]:
    """A scandir that lets something happen when a folder was listed, before those in it are opened."""
    scandir = os.scandir

    @contextmanager
    def listing(folder: str | int) -> Iterator[Iterator["os.DirEntry[str]"]]:
        with scandir(folder) as entries:
            yield iter(sorted(entries, key=lambda entry: entry.name))
        act()

    return listing


def test_a_link_that_takes_the_place_of_a_folder_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    (outside / "big").write_bytes(b"x" * MB)
    (inside / "folder").mkdir(parents=True)

    def replace() -> None:
        if not (inside / "folder").is_symlink():
            (inside / "folder").rmdir()
            (inside / "folder").symlink_to(outside)

    monkeypatch.setattr(os, "scandir", after_each_listing(replace))

    assert bytes_of(str(inside)) < MB
    assert (inside / "folder").is_symlink()


def test_what_vanishes_meanwhile_leaves_the_rest_of_its_folder_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    @contextmanager
    def listing(folder: str | int) -> Iterator[Iterator["os.DirEntry[str]"]]:
        with scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
            (tmp_path / "a").unlink(missing_ok=True)
            yield iter(found)

    (tmp_path / "a").touch()
    (tmp_path / "b").write_bytes(b"x" * MB)
    monkeypatch.setattr(os, "scandir", listing)

    assert MB < bytes_of(str(tmp_path)) < 1.1 * MB


DEEP = 2500  # folders in each other: longer than a path may be, and more than there may be calls or open files


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """Two folders at each depth, of which one goes on, and a file in every thousandth that does not."""
    top = tmp_path / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for depth in range(DEEP):
        for name in ("on", "aside"):
            os.mkdir(name, dir_fd=here)
        if depth % 1000 == 0:
            os.mkdir("aside/below", dir_fd=here)
            file = os.open("aside/below/file", os.O_WRONLY | os.O_CREAT, dir_fd=here)
            os.write(file, b"x" * MB)
            os.close(file)
        here, above = os.open("on", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(here)
    yield top
    # Also what a test moved: pytest would remove it later, by recursion, and fail.
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(opened()) + 64, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def opened() -> list[Path]:
    return list(Path("/proc/self/fd").iterdir())


@pytest.mark.usefixtures("few_descriptors")
def test_what_is_thousands_of_folders_deep_counts(deep: Path) -> None:
    before = len(opened())

    folders = (2 * DEEP + 3) * usage.ENTRY_BYTES
    assert 3 * MB + folders < bytes_of(str(deep)) < 3.5 * MB + 2.5 * folders
    assert len(opened()) == before


def test_a_deep_folder_that_moves_away_leads_nowhere_else(
    deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way back from it leads to where it has moved."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "aside").mkdir(parents=True)
    (elsewhere / "aside" / "big").write_bytes(b"x" * 16 * MB)
    whole, before, listed = bytes_of(str(deep)), len(opened()), 0

    def move() -> None:
        nonlocal listed
        listed += 1
        if listed == DEEP:
            (deep / ("on/" * 500)).rename(elsewhere / "moved")

    monkeypatch.setattr(os, "scandir", after_each_listing(move))

    assert whole - 8 * MB < bytes_of(str(deep)) <= whole
    assert (elsewhere / "moved").exists()
    assert len(opened()) == before


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
