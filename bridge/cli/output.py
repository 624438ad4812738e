"""What the commands print of rows: a table for people, JSON for scripts."""

import json
import re
from datetime import datetime
from typing import Any

import click

_STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")


def echo_json(value: Any) -> None:
    click.echo(json.dumps(value, default=as_text, ensure_ascii=False))


def echo_rows(rows: list[dict[str, Any]], *, as_json: bool, empty: str) -> None:
    if as_json:
        echo_json(rows)
    elif not rows:
        click.echo(empty, err=True)
    else:
        table = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        for row in table:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def printable(text: str) -> str:
    """Rows may be anybody's: nothing in them may steer the terminal."""
    return _STEERS.sub("?", text)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    text = printable(json.dumps(value) if isinstance(value, dict | list) else str(value)).replace("\n", "?")
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 -- a readable column
