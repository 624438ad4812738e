"""The page of the settings: names, values and defaults from the code, meanings from the table in README.md."""

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import AliasChoices, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

from bridge.settings import Settings
from bridge.settings.session_settings import SessionSettings
from documentation.markdown import code, heading, table

README = Path(__file__).parents[1] / "README.md"
_ROW = re.compile(r"^\| (`[A-Z_`, ()a-z]+) \| ([^|]*) \| (.*) \|$", re.MULTILINE)


def page() -> str:
    told = _told(README.read_text("utf-8"))
    rows = [_row(name, field, *told[name.upper()]) for name, field in _fields() if name.upper() in told]
    intro = "A value comes from the environment, then from `.env`, then from a `mobvibe up` that runs in this folder.\n"
    return "\n".join([heading("Settings", "`bridge/settings`"), intro, table(["name", "values", "default", ""], rows)])


def _fields() -> list[tuple[str, FieldInfo]]:
    """Those that everybody needs, then those of coding sessions."""
    return sorted(Settings.model_fields.items(), key=lambda one: one[0] in SessionSettings.model_fields)


def _row(name: str, field: FieldInfo, default: str, meaning: str) -> list[str]:
    return [_names(name, field), _values(field), _default(field) or default, meaning]


def _told(readme: str) -> dict[str, tuple[str, str]]:
    """The default and the meaning of each name in README.md; links in it start from this page's folder."""
    found = {"PORT": ("", "the port that a platform gives to the web process")}
    for row, default, text in _ROW.findall(readme):
        names = re.findall(r"`([A-Z_]+)`", row)
        one = default if len(names) == 1 or default == "required" else ""
        meanings = _shared_out(re.sub(r"\]\(docs/(?=\w)", "](../", text), len(names))
        found |= {name: (one, meaning) for name, meaning in zip(names, meanings, strict=True)}
    return found


def _shared_out(text: str, names: int) -> list[str]:
    """A row with two names may have a part of its text for each, with a semicolon between them."""
    parts = text.split("; ")
    return parts if len(parts) == names and "the first" not in text else [text] * names


def _names(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    names = [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [name]
    return " or ".join(code(one.upper()) for one in names)


def _values(field: FieldInfo) -> str:
    """What may be given, such as `1 to 1000` or `info, warn`."""
    kind = next((one for one in get_args(field.annotation) if one is not type(None)), field.annotation)
    options = get_args(field.annotation) if get_origin(field.annotation) is Literal else get_args(kind)
    if options:
        return ", ".join(code(option) for option in options if isinstance(option, str))
    if any(isinstance(one, BeforeValidator) for one in field.metadata):
        return f"a time, {_limits(field)} ms"
    words: dict[Any, str] = {bool: "`true` or `false`", SecretStr: "a secret", Path: "a path", str: "a text"}
    return words.get(kind) or f"a number {_limits(field)}".rstrip()


def _limits(field: FieldInfo) -> str:
    """A field may repeat a limit of its type more strictly."""
    above = [f"above {one.gt}" for one in field.metadata if isinstance(one, Gt)]
    least: list[Any] = [one.ge for one in field.metadata if isinstance(one, Ge)]
    most: list[Any] = [one.le for one in field.metadata if isinstance(one, Le)]
    return " ".join([*above, *([f"from {max(least):,}"] if least else []), *([f"to {min(most):,}"] if most else [])])


def _default(field: FieldInfo) -> str:
    value = str(field.default).lower() if isinstance(field.default, bool) else field.default
    return "" if value is None else code(str(value))
