"""Prints rows, whose texts are not trusted: a table for people, JSON for scripts.

On a terminal no line is wider than the terminal. Into a pipe or a file everything is written in full.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from bridge.logs.terminal import cut, display_width, visible, visible_lines, wrap

_GAP = "  "
_NARROWEST = 12  # columns that a text keeps on a narrow terminal: enough to recognize it
_NAME_COLUMNS = 20  # for the longest column name of a job, and for the time and type of an event
_NOT_ASCII = re.compile(r"[^ -~]+")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")


def echo_json(value: Any) -> None:
    """Print one line of JSON. Control characters, which would affect a terminal, are written as JSON escapes."""
    click.echo(_NOT_ASCII.sub(_escaped, json.dumps(value, default=_text, ensure_ascii=False)))


def echo_rows(rows: list[dict[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print rows as a table or as JSON. On a terminal texts are shortened, the widest first, then lines are cut."""
    if as_json:
        echo_json(rows)
    elif not rows:
        click.echo(empty, err=True)
    else:
        for line in _table(rows, _terminal_columns()):
            click.echo(line)


def echo_field(name: str, value: Any) -> None:
    """Print a name and its value. Further lines of the value are indented, so that none looks like a name."""
    columns = _terminal_columns()
    lines = visible_lines(_text(value))
    if columns is not None:
        width = max(columns - _NAME_COLUMNS - 1, _NARROWEST)
        lines = [part for line in lines for part in wrap(line, width)]
    click.echo(f"{_pad(cut(visible(name), _NAME_COLUMNS), _NAME_COLUMNS)} {lines[0]}")
    for line in lines[1:]:
        click.echo(f"{'':{_NAME_COLUMNS}} {line}")


def _terminal_columns() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _table(rows: list[dict[str, Any]], columns: int | None) -> Iterator[str]:
    names = list(rows[0])
    table = [names, *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(display_width, cells)) for cells in zip(*table, strict=True)]
    if columns is not None:
        texts = [at for at, name in enumerate(names) if any(isinstance(row[name], str) for row in rows)]
        _narrow(widths, texts, columns - len(_GAP) * (len(widths) - 1))
    for cells in table:
        parts = [_pad(cut(cell, width), width) for cell, width in zip(cells, widths, strict=True)]
        line = _GAP.join(parts).rstrip()
        yield line if columns is None else cut(line, columns)


def _narrow(widths: list[int], texts: list[int], width: int) -> None:
    """Make the `texts` columns narrower until the table fits. Ids, times and numbers are never shortened."""
    while texts and sum(widths) > width:
        widest = max(texts, key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1


def _pad(text: str, columns: int) -> str:
    return text + " " * (columns - display_width(text))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return visible(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _escaped(found: re.Match[str]) -> str:
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in found[0])
