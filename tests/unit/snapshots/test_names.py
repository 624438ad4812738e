"""Each name of a workspace has one in a snapshot, and a way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.snapshots.names import EMPTY, UnsafeNameError, is_empty_folder, is_shown, original_name, saved_name

PARTS = st.sampled_from([b".git", b".GIT", b".git.empty", b".git.saved", b".git.empty.saved", b"a", b".gitignore"])


@given(st.lists(PARTS, min_size=1, max_size=4).map(b"/".join))
def test_each_name_has_a_way_back_and_none_is_git_s_own(path: bytes) -> None:
    saved = saved_name(path)

    assert original_name(saved) == path
    assert b".git" not in saved.lower().split(b"/")
    assert not is_empty_folder(saved)


@given(st.lists(PARTS, min_size=1, max_size=2).map(b"/".join), st.lists(PARTS, min_size=1, max_size=2).map(b"/".join))
def test_no_two_names_are_saved_as_one(one: bytes, other: bytes) -> None:
    assert (saved_name(one) == saved_name(other)) == (one == other)


def test_an_empty_folder() -> None:
    saved = saved_name(b"a/.git") + b"/" + EMPTY

    assert is_empty_folder(saved)
    assert original_name(saved) == b"a/.git"


@pytest.mark.parametrize("path", [b"", b"/a", b"a/", b"a//b", b"../a", b"a/..", b"./a", b"a\0b", b"a" * 5000])
def test_paths_that_no_file_can_have_are_refused(path: bytes) -> None:
    with pytest.raises(UnsafeNameError):
        saved_name(path)


def test_a_repository_s_own_data_is_not_shown() -> None:
    assert not is_shown(saved_name(b"a/.git/index"))
    assert not is_shown(b"a/" + EMPTY)
    assert is_shown(b"a/.gitignore")
