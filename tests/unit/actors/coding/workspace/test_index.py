"""The index says which files have the same content as in a commit."""

from pathlib import Path

from actors.coding.workspace.index import Index, read_index, to_find_again, write_index
from actors.coding.workspace.listing import Item, items_in


def item(path: bytes, changed: bytes) -> Item:
    return items_in(b"f 644 1 1.0 %b 1 \0%b\0\0" % (changed, path))[0]


def test_what_was_written_is_read_for_its_commit_only(tmp_path: Path) -> None:
    index = Index("c1", {item(b"a\nb", b"1.5"), item(b"\xff", b"2.5")})
    write_index(tmp_path / "found", index)

    assert read_index(tmp_path / "found", "c1") == index
    assert read_index(tmp_path / "found", "c2") is None
    assert read_index(tmp_path / "found", None) is None
    assert read_index(tmp_path / "none", "c1") is None


def test_what_was_just_changed_or_not_read_is_not_found_again() -> None:
    items = [item(b"old", b"10.0"), item(b"new", b"19.95"), item(b"unread", b"10.0")]

    again = list(to_find_again(items, 20.0, [b"unread"]))

    assert [one.path for one in again] == [b"old", b"new", b"unread"]
    assert [one for one in again if one in items] == [items[0]]
