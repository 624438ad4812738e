"""Writes the pages of the reference that are made from the code: python -m documentation [--check]."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from documentation import commands, http_api, metrics, settings, sql_functions

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "commands.md": commands.page,
    "http-api.md": http_api.page,
    "metrics.md": metrics.page,
    "settings.md": settings.page,
    "sql-functions.md": sql_functions.page,
}


def outdated(folder: Path = REFERENCE) -> list[str]:
    """The pages in the folder that the code would make otherwise."""
    return [name for name, page in PAGES.items() if _text(folder / name) != page()]


def _text(page: Path) -> str:
    return page.read_text("utf-8") if page.exists() else ""


def main() -> int:
    names = outdated()
    if "--check" in sys.argv[1:]:
        if names:
            print(f"docs/reference is not what the code says: {', '.join(names)}. Run: make reference", file=sys.stderr)
        return bool(names)
    for name in names:
        (REFERENCE / name).write_text(PAGES[name](), "utf-8")
        print(f"docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
