"""Paths of a workspace: they stay in it. What commands may do meanwhile is tried in test_escapes.py."""

from pathlib import Path

import pytest

from actors.coding.sandbox.daemon.files import Files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace-evil").mkdir()
    (tmp_path / "workspace-evil" / "secret").write_text("secret")
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "workspace"


@pytest.fixture
def files(folder: Path) -> Files:
    return Files(str(folder))


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "../workspace-evil/secret",
        "a/../../secret",
        "/etc/passwd",
        "link",
        "up/secret",
        "self",
        "evil/secret",
    ],
)
def test_paths_out_of_the_folder_are_refused(files: Files, folder: Path, path: str) -> None:
    (folder / "a").mkdir()
    (folder / "link").symlink_to("../secret")
    (folder / "up").symlink_to("..")
    (folder / "self").symlink_to("/proc/self/environ")
    (folder / "evil").symlink_to(f"{folder}-evil")

    with pytest.raises(PermissionError, match="leads out"):
        files.read(path, 10)
    with pytest.raises(PermissionError, match="leads out"):
        files.write(path, b"evil")

    assert (folder.parent / "secret").read_text() == "secret"


def test_links_that_stay_inside_are_followed(files: Files, folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "file").write_text("old")
    (folder / "b").symlink_to("a")
    (folder / "link").symlink_to("b/../a/file")

    files.write("link", b"new")
    files.write("b/other", b"other")

    assert files.read("b/file", 10) == b"new"
    assert (folder / "link").is_symlink() and (folder / "a" / "other").read_text() == "other"


def test_links_in_a_circle_are_refused(files: Files, folder: Path) -> None:
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")

    with pytest.raises(PermissionError):
        files.read("one", 1)


def test_only_the_first_bytes_are_read(files: Files, folder: Path) -> None:
    (folder / "file").write_bytes(b"0123456789")

    assert files.read("file", 4) == b"0123"
    assert files.read("./file", 100) == b"0123456789"


def test_a_write_that_fails_leaves_nothing(files: Files, folder: Path) -> None:
    (folder / "file").write_text("a file")

    with pytest.raises(NotADirectoryError):
        files.write("file/below", b"x")
    with pytest.raises(OSError):
        files.write("n" * 300, b"x")
    for path in ("", ".", "new/", "new/.."):
        with pytest.raises(OSError):
            files.write(path, b"x")

    assert [path.name for path in folder.iterdir() if path.name != "new"] == ["file"]


def test_a_reader_sees_the_old_file_or_the_new_one(files: Files, folder: Path) -> None:
    (folder / "file").write_bytes(b"old" * 100_000)
    with (folder / "file").open("rb") as before:
        files.write("file", b"new")

        assert before.read() == b"old" * 100_000
    assert (folder / "file").read_bytes() == b"new"


def test_an_empty_path_names_no_file(files: Files) -> None:
    with pytest.raises(OSError):
        files.read("", 1)
