"""Checks the input of a call against its tool's JSON schema: the part of the language that our schemas use."""

from typing import Any

from actors.coding.agent.runner import Json

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def broken_rule(value: Any, schema: Json, name: str = "the input") -> str | None:
    """What is wrong with a value. None: it fits."""
    kind = schema["type"]
    if not _is_of(value, kind):
        return f"{name} must be of type {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{name} must be one of {', '.join(schema['enum'])}"
    if kind == "string" and not _is_text(value):
        return f"{name} holds a character that no text here may: NUL, or half of a pair"
    if kind == "object":
        return _broken_in_object(value, schema)
    if kind == "array":
        parts = (broken_rule(part, schema["items"], f"an item of {name}") for part in value)
        return next((problem for problem in parts if problem), None)
    return None


def _is_of(value: object, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _is_text(value: str) -> bool:
    """Whether it can be an argument of a command, the name of a file, and a text in Postgres."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _broken_in_object(value: dict[str, Any], schema: Json) -> str | None:
    properties = schema["properties"]
    missing = [name for name in schema.get("required", ()) if name not in value]
    if missing:
        return f"{missing[0]} is missing"
    unknown = [name for name in value if name not in properties]
    if unknown:
        return f"{unknown[0]} is not known, only {', '.join(properties)}"
    checked = (broken_rule(value[name], properties[name], name) for name in value)
    return next((problem for problem in checked if problem), None)
