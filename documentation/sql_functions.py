"""The page of the SQL functions, from the comment above each."""

import re
from collections.abc import Iterator
from pathlib import Path

from documentation.markdown import heading

SQL = Path(__file__).parents[1] / "bridge" / "sql"
_FUNCTION = re.compile(
    r"CREATE OR REPLACE FUNCTION public\.(?P<name>\w+)\s*(?P<signature>\(.*?\)\s*RETURNS .*?)\s+(?:LANGUAGE|RETURN\b)",
    re.DOTALL,
)
INTRO = """
The functions of the schema `public`, by file. Which of them other programs may call, and with which rights, is in
[tables and functions](database.md); all others belong to the bridge.
"""


def page() -> str:
    files = [*sorted(SQL.glob("functions/*.sql")), *sorted(SQL.glob("triggers/*.sql"))]
    title = heading("SQL functions", "the comments in `bridge/sql`")
    return "\n".join([title, INTRO.lstrip(), *(part for file in files for part in _file(file))]).rstrip() + "\n"


def _file(file: Path) -> Iterator[str]:
    text = file.read_text("utf-8")
    yield f"## {file.parent.name}/{file.stem}\n"
    if text.startswith("-- "):
        yield _words(text.partition("\n\n")[0]) + "\n"
    for found in _FUNCTION.finditer(text):
        yield f"### {found['name']}\n"
        yield f"```sql\n{found['name']}{_one_line(found['signature'])}\n```\n"
        yield _description(text, found["name"]) + "\n"


def _one_line(signature: str) -> str:
    return re.sub(r"\(\s+", "(", " ".join(signature.split()))


def _description(text: str, name: str) -> str:
    """The comment that begins with the name, without it."""
    found = re.search(rf"^ *-- {name}: (.*(?:\n *--.*)*)", text, re.MULTILINE)
    assert found, f"{name} has no comment"
    words = _words(found[1])
    return words[0].upper() + words[1:]


def _words(comment: str) -> str:
    """A comment as one paragraph, with nothing in it that Markdown would take for its own."""
    words = " ".join(re.sub(r"^ *-- ?", "", line).strip() for line in comment.splitlines())
    parts = re.split(r"(`[^`]*`)", words)
    return "".join(part if part.startswith("`") else re.sub(r"([*<>\[\]]|\b_|_\b)", r"\\\1", part) for part in parts)
