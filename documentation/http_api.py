"""The page of the HTTP interface, from its description in OpenAPI."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from documentation.markdown import code, heading, table

OPENAPI = Path(__file__).parents[1] / "bridge" / "web" / "static" / "openapi.json"
INTRO = """
The same as JSON: `/api/openapi.json`. Pages, streams, logins and filters are in [HTTP](http.md). A refusal is
`{"success": false, "error": "…"}`.
"""
_WHO = {"userToken": "a user's token", "serviceRoleKey": "the service role key", "login": "a login"}


def page() -> str:
    described = json.loads(OPENAPI.read_text("utf-8"))
    parts = [heading("HTTP interface", "`bridge/web/static/openapi.json`"), INTRO.lstrip()]
    for address, methods in described["paths"].items():
        for method, operation in methods.items():
            parts += _operation(
                f"{method.upper()} {address}", operation, operation.get("security", described["security"])
            )
    parts.append("## What is answered\n")
    for name, schema in described["components"]["schemas"].items():
        parts += [f"### {name}\n", _fields(schema)]
    return "\n".join(parts).rstrip() + "\n"


def _operation(title: str, operation: dict[str, Any], security: list[dict[str, Any]]) -> Iterator[str]:
    yield f"## {title}\n"
    who = " or ".join(_WHO[name] for one in security for name in one) or "anybody"
    yield f"{operation['summary']}. Who may: {who}.\n"
    if parameters := operation.get("parameters"):
        yield table(["parameter", "in", "values", ""], [_parameter(one) for one in parameters])
    if body := operation.get("requestBody"):
        for schema in (one["schema"] for one in body["content"].values()):
            yield _fields(schema)
    answers = operation["responses"].items()
    yield table(["answer", ""], [[status, _answer(answer)] for status, answer in answers])


def _parameter(one: dict[str, Any]) -> list[str]:
    return [code(one["name"]), one["in"], _values(one.get("schema", {})), one.get("description", "")]


def _answer(answer: dict[str, Any]) -> str:
    if "$ref" in answer:
        return "refused"
    named = [_values(one["schema"]) for one in answer.get("content", {}).values() if "$ref" in one.get("schema", {})]
    return ": ".join([answer["description"], *named])


def _fields(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        [code(name) + ("" if name in required else " (optional)"), _values(field), field.get("description", "")]
        for name, field in schema.get("properties", {}).items()
    ]
    return table(["field", "values", ""], rows) if rows else f"{_values(schema)}\n"


def _values(schema: dict[str, Any]) -> str:
    """What a value may be: its type and its limits."""
    if name := schema.get("$ref"):
        title = name.rpartition("/")[2]
        return f"[{title}](#{title.lower()})"
    for key in ("enum", "const"):
        if key in schema:
            return ", ".join(code(json.dumps(one)) for one in (schema[key] if key == "enum" else [schema[key]]))
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_values(one) for one in options)
    kinds = schema.get("type", "any")
    words = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    if "items" in schema:
        words = f"{words} of {_values(schema['items'])}"
    limits = ("format", "minimum", "maximum", "minLength", "maxLength", "default")
    return ", ".join([words, *(f"{name} {schema[name]}" for name in limits if name in schema)])
