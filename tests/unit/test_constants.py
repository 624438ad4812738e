"""Each constant of time, size or count says in a comment why it has its value."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("bridge", "actors")

_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")
_FOR_TOOLS = re.compile(r"(noqa|type: ignore)\S*( [A-Z]+[0-9]+,?)*")


def without_reason(source: str) -> list[str]:
    """The numeric constants of a module that have no comment in their own lines or in the line above."""
    comments = reasons(source)
    lines = source.splitlines()
    found = []
    for node in ast.parse(source).body:
        names = numeric_constants(node)
        own = any(line in comments for line in range(node.lineno, (node.end_lineno or node.lineno) + 1))
        above = node.lineno - 1 in comments and lines[node.lineno - 2].startswith("#")
        if names and not own and not above:
            found += names
    return found


def reasons(source: str) -> set[int]:
    """The lines that have a comment for readers, not only for a tool."""
    return {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and _FOR_TOOLS.sub("", token.string).strip("# ")
    }


def numeric_constants(node: ast.stmt) -> list[str]:
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None or not is_numeric(node.value):
        return []
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    named = (one for target in targets for one in ast.walk(target) if isinstance(one, ast.Name))
    return [one.id for one in named if _CONSTANT.fullmatch(one.id)]


def is_numeric(value: ast.expr) -> bool:
    """A number, arithmetic of numbers, a timedelta, or a tuple of these."""
    match value:
        case ast.Constant(value=number):
            return isinstance(number, int | float) and not isinstance(number, bool)
        case ast.UnaryOp(operand=operand):
            return is_numeric(operand)
        case ast.BinOp(left=left, right=right):
            return is_numeric(left) and is_numeric(right)
        case ast.Tuple(elts=parts):
            return bool(parts) and all(map(is_numeric, parts))
        case ast.Call(func=ast.Name(id="timedelta") | ast.Attribute(attr="timedelta")):
            return True
        case _:
            return False


def modules() -> dict[str, Path]:
    found = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))
    return {path.relative_to(ROOT).as_posix(): path for path in found}


def test_each_constant_has_a_reason() -> None:
    found = {name: without_reason(path.read_text(encoding="utf-8")) for name, path in modules().items()}

    assert {name: constants for name, constants in found.items() if constants} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("A = 1", ["A"]),
        ("A = 1  # reason", []),
        ("# reason\nA = 1", []),
        ("# reason\nA = 1\nB = 2", ["B"]),
        ("A = 1  # reason\nB = 2", ["B"]),
        ("A = 1  # noqa: S105", ["A"]),
        ("A = 1  # noqa: S105 -- reason", []),
        ("_A, B = 64 * 1024, -1.5", ["_A", "B"]),
        ("A: int = 1", ["A"]),
        ("A = timedelta(days=7)", ["A"]),
        ("A = (\n    1,\n    2,  # reason\n)", []),
        ("a = 1\nA = True\nB = 'b'\nC = f(1)\ndef d():\n    E = 1", []),
    ],
)
def test_a_constant_without_a_reason_is_found(source: str, found: list[str]) -> None:
    assert without_reason(source) == found
