"""Builds the pages of docs/ as a site, without a warning: python -m documentation.site.

Its pages load nothing from other hosts. What is in a folder is in its section: a new page needs no entry anywhere.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS, CONFIG, SITE = ROOT / "docs", ROOT / ".site.yml", ROOT / "build" / "site"
# In the order in which a reader needs them.
SECTIONS = {
    "Tutorial": "tutorial",
    "How-to": "how-to",
    "Reference": "reference",
    "Explanation": "explanation",
    "Decisions": "decisions",
}
_LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"?(https?://[^\"> ]+)")
Nav = list[dict[str, Any]]


def configuration() -> dict[str, Any]:
    """As Zensical and MkDocs read it."""
    return {
        "site_name": "MobVibe bridge",
        "docs_dir": "docs",
        "site_dir": SITE.relative_to(ROOT).as_posix(),
        "use_directory_urls": False,  # so that the pages can be read from files
        "theme": {"name": "material", "font": False, "features": ["navigation.tabs", "navigation.indexes"]},
        "extra": {"generator": False},
        "plugins": ["search"],
        "markdown_extensions": [
            "admonition",
            "attr_list",
            "tables",
            "toc",
            "pymdownx.superfences",
            "pymdownx.highlight",
        ],
        "nav": navigation(),
    }


def navigation() -> Nav:
    """All pages, each in the section of its folder; those beside the folders explain."""
    sections: Nav = [{"Home": "index.md"}]
    for title, folder in SECTIONS.items():
        pages = _pages(DOCS / folder)
        sections.append({title: pages + _pages(DOCS) if title == "Explanation" else pages})
    return sections


def _pages(folder: Path) -> Nav:
    paths = [path for path in sorted(folder.glob("*.md")) if path.name != "index.md"]
    return [{_title(path): path.relative_to(DOCS).as_posix()} for path in paths]


def _title(page: Path) -> str:
    found = re.match(r"# (.+)\n", page.read_text("utf-8"))
    if not found:
        raise ValueError(f"{page.relative_to(ROOT)} does not begin with a title: # …")
    return found[1]


def loads_from_elsewhere(page: str) -> list[str]:
    """What the HTML of a page loads from other hosts. Links that a reader follows are none of it."""
    return _LOADED.findall(page)


def without_dead_links(page: Path, text: str) -> str:
    """A link to a file of the repository that is no page becomes its path: there is nothing of it in the site."""

    def replaced(link: re.Match[str]) -> str:
        target = (page.parent / link[1].partition("#")[0]).resolve()
        if target.is_relative_to(SITE):
            return link[0]
        path = (DOCS / page.parent.relative_to(SITE) / link[1]).resolve().relative_to(ROOT)
        return link[2] if path.as_posix() in link[2] else f"{link[2]} (<code>{path}</code>)"

    return re.sub(r'<a href="?(\.\./[^" >]+)"?>(.*?)</a>', replaced, text)


def main() -> int:
    CONFIG.write_text(json.dumps(configuration(), indent=1), "utf-8")
    zensical = Path(sys.executable).with_name("zensical")
    if code := subprocess.run([zensical, "build", "--strict", "--clean", "-f", CONFIG], check=False).returncode:
        return code
    for page in SITE.rglob("*.html"):
        page.write_text(without_dead_links(page, page.read_text("utf-8")), "utf-8")
    foreign = {page: found for page in SITE.rglob("*.html") if (found := loads_from_elsewhere(page.read_text("utf-8")))}
    for page, found in foreign.items():
        print(f"{page.relative_to(ROOT)} loads from another host: {found[0]}", file=sys.stderr)
    return bool(foreign)


if __name__ == "__main__":
    sys.exit(main())
