"""Commits are made and read without a working tree, and travel as bundles."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.snapshots.git import GitError
from bridge.snapshots.repository import FILE, LINK, PROGRAM, File, Repository

FIRST = [
    File(b"a", FILE, b"one\n"),
    File(b"dir/prog", PROGRAM, b"\0\xff" * 10),
    File(b"dir/link", LINK, b"/etc/passwd"),
    File(b' "odd"\\\n\xff', FILE, b""),
]


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    repository = Repository(tmp_path / "r.git")
    with repository.locked():
        yield repository


def saved(repository: Repository, commit: str) -> list[File]:
    return list(repository.files(repository.entries(commit)))


def test_files_are_read_as_they_were_committed(repository: Repository) -> None:
    assert repository.head() is None
    commit = repository.commit("start", [], FIRST)

    assert repository.head() == commit
    assert saved(repository, commit) == sorted(FIRST)
    assert [entry.size for entry in repository.entries(commit)] == [len(file.content) for file in sorted(FIRST)]


def test_a_commit_changes_only_what_it_names(repository: Repository) -> None:
    first = repository.commit("start", [], FIRST)
    second = repository.commit("turn", [b"a", b"missing", b"dir/link"], [File(b"dir/link/x", FILE, b"2")])

    assert saved(repository, first) == sorted(FIRST)
    assert [file.path for file in saved(repository, second)] == [FIRST[3].path, b"dir/link/x", b"dir/prog"]


def test_a_file_takes_the_place_of_a_folder(repository: Repository) -> None:
    repository.commit("start", [], FIRST)
    commit = repository.commit("turn", [b"dir/prog", b"dir/link"], [File(b"dir", FILE, b"")])

    assert [file.path for file in saved(repository, commit)] == [FIRST[3].path, b"a", b"dir"]


def test_a_failure_while_files_are_read_changes_nothing(repository: Repository) -> None:
    first = repository.commit("start", [], FIRST)

    def files() -> Iterator[File]:
        yield File(b"b", FILE, b"")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        repository.commit("turn", [b"a"], files())
    assert repository.head() == first


def test_an_empty_workspace_has_a_commit_too(repository: Repository) -> None:
    assert saved(repository, repository.commit("start", [], [])) == []


def test_bundles_bring_commits_to_another_repository(repository: Repository, tmp_path: Path) -> None:
    first = repository.commit("start", [], FIRST)
    whole = repository.bundle(None)
    second = repository.commit("turn", [b"a"], [])
    thin = repository.bundle(first)
    other = Repository(tmp_path / "other.git")

    with other.locked():
        other.add_bundle(whole, first)
        other.add_bundle(thin, second)

        assert other.head() == second
        assert saved(other, second) == saved(repository, second)
        assert saved(other, first) == saved(repository, first)
        assert (other.has(first), other.has("0" * 40)) == (True, False)


def test_a_bundle_without_its_base_or_damaged_is_refused(repository: Repository, tmp_path: Path) -> None:
    first = repository.commit("start", [], FIRST)
    whole = repository.bundle(None)
    second = repository.commit("turn", [b"a"], [])
    thin = repository.bundle(first)
    other = Repository(tmp_path / "other.git")

    with other.locked():
        with pytest.raises(GitError, match="Repository lacks these prerequisite commits"):
            other.add_bundle(thin, second)
        with pytest.raises(GitError):
            other.add_bundle(whole[:-30] + b"\0" * 30, first)
        assert other.head() is None


def test_remove_leaves_nothing(repository: Repository) -> None:
    repository.commit("start", [], FIRST)
    repository.remove()

    assert not repository.folder.exists()
