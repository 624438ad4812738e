"""Huge files are left out, the largest first; a repository's own data is saved whole or not at all."""

from actors.coding.workspace.choice import LeftOut, Limits, choose
from actors.coding.workspace.listing import Item, items_in

LIMITS = Limits(file_bytes=100, all_bytes=1000)


def items(sizes: dict[str, int]) -> list[Item]:
    return items_in(b"".join(b"f 644 %d 1.0 1.0 1 \0%b\0\0" % (size, path.encode()) for path, size in sizes.items()))


def chosen(sizes: dict[str, int]) -> tuple[list[bytes], list[LeftOut]]:
    choice = choose(items(sizes), LIMITS)
    return [item.path for item in choice.items], [*choice.left_out]


def test_all_that_is_small_is_chosen() -> None:
    assert chosen({"a": 1, "b": 100}) == ([b"a", b"b"], [])
    assert chosen({}) == ([], [])


def test_a_large_file_is_left_out() -> None:
    assert chosen({"a": 1, "b": 101}) == ([b"a"], [LeftOut(b"b", 101)])


def test_the_largest_are_left_out_until_the_rest_fits() -> None:
    sizes = {f"f{number}": 90 + number for number in range(10)} | {"g": 90}

    paths, left_out = chosen(sizes)

    assert len(paths) == 10
    assert left_out == [LeftOut(b"f9", 99)]


def test_a_repository_is_saved_with_its_large_files_or_not_at_all() -> None:
    small = {"a/.git/pack": 400, "a/.git/HEAD": 10, "a/x": 1}
    huge = {"b/.git/pack": 400, "b/.git/objects/.git/y": 101, ".git": 3}

    paths, left_out = chosen(small | huge)

    assert paths == [b"a/.git/pack", b"a/.git/HEAD", b"a/x", b".git"]
    assert left_out == [LeftOut(b"b/.git", 501)]
