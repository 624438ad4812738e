"""An archive has the files of a snapshot under their own names, and no link that leads out."""

import io
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.snapshots.archive import archive, packed
from bridge.snapshots.names import EMPTY
from bridge.snapshots.repository import FILE, LINK, PROGRAM, File, Repository

FILES = [
    File(b"a b/\xff\n", FILE, b"1"),
    File(b"app/.git.saved/HEAD", FILE, b"ref"),
    File(b"dir/absolute", LINK, b"/etc/passwd"),
    File(b"dir/in", LINK, b"../run"),
    File(b"dir/out", LINK, b"../../x"),
    File(b"dir/sly", LINK, b"a/../../../x"),
    File(b"empty/" + EMPTY, FILE, b""),
    File(b"n" * 200, FILE, b"long"),
    File(b"run", PROGRAM, b"#!"),
]


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    repository = Repository(tmp_path / "r.git")
    with repository.locked():
        repository.commit("turn", [], FILES)
        yield repository


def unpacked(data: bytes, folder: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as file:
        file.extractall(folder, filter="data")
        return {member.name: member for member in file}


def test_files_are_unpacked_as_they_were(repository: Repository, tmp_path: Path) -> None:
    head = repository.head()
    assert head is not None

    members = unpacked(b"".join(archive(repository, head, "session-1")), tmp_path)

    folder = tmp_path / "session-1"
    assert (folder / "app/.git/HEAD").read_text() == "ref"
    assert (folder / "run").stat().st_mode & 0o777 == 0o755
    assert (folder / "dir/in").resolve() == folder / "run"
    assert (folder / "empty").is_dir()
    assert not list((folder / "empty").iterdir())
    assert (folder / ("n" * 200)).parent == folder
    assert {Path(name).name for name in members} & {"absolute", "out", "sly"} == set()
    assert len(members) == len(FILES) - 3


def test_it_comes_in_pieces_and_no_large_file_is_kept(tmp_path: Path) -> None:
    contents = [random.Random(number).randbytes(10_000 * (9 - number)) for number in range(9)]
    files = [File(b"%d" % number, FILE, content) for number, content in enumerate(contents)]

    pieces = list(packed(files, mode="w|gz"))

    assert max(map(len, pieces)) < 100_000
    assert len(pieces) == len(files) + 1
    unpacked(b"".join(pieces), tmp_path)
    assert [(tmp_path / str(number)).read_bytes() for number in range(9)] == contents
