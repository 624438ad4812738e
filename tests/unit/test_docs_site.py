"""The site holds every page, and loads nothing from elsewhere. `make docs` builds it."""

import re
from pathlib import Path
from typing import Any

import pytest

from documentation import site

DOCS = Path(__file__).parents[2] / "docs"


def listed(entry: Any) -> list[str]:
    """The pages of a part of the navigation."""
    if isinstance(entry, str):
        return [entry]
    below = entry.values() if isinstance(entry, dict) else entry
    return [page for one in below for page in listed(one)]


def test_every_page_is_in_the_navigation_once() -> None:
    pages = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))

    assert sorted(listed(site.navigation())) == pages


def test_pages_link_to_no_page_outside() -> None:
    """README.md and its like are no part of the site."""
    links = {path: re.findall(r"\]\((?!https?://|#)([^)#]+\.md)", path.read_text()) for path in DOCS.rglob("*.md")}
    outside = [
        f"{path.relative_to(DOCS)}: {link}"
        for path, found in links.items()
        for link in found
        if not (path.parent / link).resolve().is_relative_to(DOCS)
    ]

    assert outside == []


def test_a_link_to_a_file_outside_of_the_site_becomes_its_path() -> None:
    page = site.SITE / "how-to" / "role.html"

    assert (
        site.without_dead_links(page, '<a href="../../deploy/a.sql">a role</a>') == "a role (<code>deploy/a.sql</code>)"
    )
    assert site.without_dead_links(page, "<a href=../../deploy/a.sql>deploy/a.sql</a>") == "deploy/a.sql"
    for link in ('<a href="../reference/redis.html#keys">r</a>', '<a href="../index.html">i</a>'):
        assert site.without_dead_links(page, link) == link


def test_the_sections_are_in_the_order_in_which_they_are_read() -> None:
    titles = [title for one in site.navigation() for title in one]

    assert titles == ["Home", "Tutorial", "How-to", "Reference", "Explanation", "Decisions"]


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example.org/a.js"></script>',
        "<link rel=stylesheet href=https://fonts.example.org/a.css>",
        '<img alt="a" src="http://example.org/a.png">',
    ],
)
def test_what_a_page_loads_from_elsewhere_is_found(page: str) -> None:
    assert len(site.loads_from_elsewhere(page)) == 1


def test_links_of_a_reader_and_files_of_the_site_are_no_fault() -> None:
    assert site.loads_from_elsewhere('<a href="https://example.org"></a><script src="../assets/a.js"></script>') == []


def test_a_page_without_a_title_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tutorial").mkdir()
    (tmp_path / "tutorial" / "one.md").write_text("No title.\n")
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr(site, "DOCS", tmp_path)

    with pytest.raises(ValueError, match=r"^tutorial/one.md does not begin with a title"):
        site.navigation()
