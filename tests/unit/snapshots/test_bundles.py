"""Snapshots are kept in a store, and another machine brings them back, as far as they are good."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from bridge.snapshots import bundles as module
from bridge.snapshots.bundles import keep, load
from bridge.snapshots.repository import FILE, File, Repository
from tests.support.bundles import MemoryBundles

SESSION = uuid4()
MOST = 1_000_000


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    repository = Repository(tmp_path / "here.git")
    with repository.locked():
        yield repository


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Repository]:
    repository = Repository(tmp_path / "elsewhere.git")
    with repository.locked():
        yield repository


@pytest.fixture
def store() -> MemoryBundles:
    return MemoryBundles()


def turns(repository: Repository, store: MemoryBundles, first: int, last: int) -> None:
    for number in range(first, last):
        repository.commit(f"turn {number}", [], [File(b"a", FILE, b"%d" % number)])
        assert keep(repository, store, SESSION, MOST)


def content(repository: Repository) -> bytes:
    head = repository.head()
    assert head is not None
    return next(repository.files(repository.entries(head))).content


def test_each_turn_adds_a_bundle_and_another_machine_gets_all(
    repository: Repository, elsewhere: Repository, store: MemoryBundles
) -> None:
    turns(repository, store, 0, 3)

    assert load(elsewhere, store, SESSION) is None
    assert [bundle.base for bundle in store.kept[SESSION]] == [None, *(one.commit for one in store.kept[SESSION][:2])]
    assert elsewhere.head() == repository.head()
    assert content(elsewhere) == b"2"


def test_turns_on_two_machines_follow_each_other(
    repository: Repository, elsewhere: Repository, store: MemoryBundles
) -> None:
    turns(repository, store, 0, 2)
    assert load(elsewhere, store, SESSION) is None
    turns(elsewhere, store, 2, 4)
    assert load(repository, store, SESSION) is None

    assert content(repository) == b"3"
    assert len(store.kept[SESSION]) == 4


def test_a_repository_that_is_ahead_stays_so(repository: Repository, store: MemoryBundles) -> None:
    turns(repository, store, 0, 1)
    head = repository.commit("not kept", [], [])

    assert load(repository, store, SESSION) is None
    assert repository.head() == head


def test_what_the_store_does_not_know_is_replaced(
    repository: Repository, elsewhere: Repository, store: MemoryBundles
) -> None:
    turns(repository, store, 0, 2)
    elsewhere.commit("of nobody", [], [])

    assert load(elsewhere, store, SESSION) is None
    assert content(elsewhere) == b"1"


def test_a_store_without_the_session_changes_nothing(repository: Repository, store: MemoryBundles) -> None:
    assert load(repository, store, SESSION) is None
    assert repository.head() is None
    assert keep(repository, store, SESSION, MOST)
    assert not store.kept[SESSION]


def test_the_same_commit_is_kept_once(repository: Repository, store: MemoryBundles) -> None:
    turns(repository, store, 0, 1)

    assert keep(repository, store, SESSION, MOST)
    assert len(store.kept[SESSION]) == 1


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_damaged_bundle_leaves_the_last_good_commit(
    repository: Repository, elsewhere: Repository, store: MemoryBundles, damage: str
) -> None:
    turns(repository, store, 0, 4)
    bad = store.kept[SESSION][2]
    store.kept[SESSION][2:3] = [] if damage == "missing" else [bad._replace(data=bad.data[:-40])]

    problem = load(elsewhere, store, SESSION)

    assert problem is not None
    assert "\n" not in problem
    good = store.kept[SESSION][1].commit
    assert problem.startswith("the saved workspace is damaged from commit ")
    assert problem.endswith(f": its files are those of commit {good[:10]}")
    assert content(elsewhere) == b"1"


def test_when_the_first_is_damaged_nothing_is_left(
    elsewhere: Repository, repository: Repository, store: MemoryBundles
) -> None:
    turns(repository, store, 0, 1)
    store.kept[SESSION][0] = store.kept[SESSION][0]._replace(data=b"")

    assert str(load(elsewhere, store, SESSION)).endswith("nothing of it can be brought back")


def test_bundles_do_not_become_too_many(
    repository: Repository, elsewhere: Repository, store: MemoryBundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BUNDLES", 3)
    turns(repository, store, 0, 5)

    assert len(store.kept[SESSION]) == 2
    assert load(elsewhere, store, SESSION) is None
    assert content(elsewhere) == b"4"


def test_nor_too_large_for_what_they_hold(repository: Repository, store: MemoryBundles) -> None:
    large = bytes(number * number % 251 for number in range(5000))
    for number in range(4):
        repository.commit("turn", [], [File(b"a", FILE, bytes([number]) + large[::-1][number:] + large)])
        assert keep(repository, store, SESSION, 1500)
    assert store.stored(SESSION).size <= 1500

    repository.commit("turn", [], [File(b"b", FILE, Path("/usr/bin/env").read_bytes())])

    assert not keep(repository, store, SESSION, 1500)
    assert store.stored(SESSION).bundles == 1
