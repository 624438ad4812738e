"""Each constant of time, size or count says in a comment why it has its value.

So does each number that stands where a constant could: as a default, as an attribute of a class, and as the seconds or
milliseconds of an assignment or a call. There it may have a comment of its own instead of a name.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("bridge", "actors")

_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")
_OF_TIME = re.compile(r"(\w*_)?(seconds|ms|timeout)")
_THAT_WAIT = {"sleep", "wait", "join"}  # functions whose first argument is seconds
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


def bare_numbers(source: str) -> list[str]:
    """What has a number with neither name nor comment: see above. 0 and 1 are a beginning, unless they are a time."""
    comments = reasons(source)
    text = source.splitlines()
    tree = ast.parse(source)
    skipped = {id(part) for node in tree.body if numeric_constants(node) for part in ast.walk(node)}
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and are_settings(node.bases):
            skipped |= {id(part) for part in node.body}  # .env.example says why
        for name, value in values(node) if id(node) not in skipped else ():
            is_plain = not _OF_TIME.fullmatch(name) and number_in(value) in (
                1,
                -1,
            )  # also asked of a dict, which no set can hold
            lines = range(value.lineno, (value.end_lineno or value.lineno) + 1)
            above = value.lineno - 1 in comments and text[value.lineno - 2].lstrip().startswith("#")
            has_reason = above or bool(comments & {*lines})
            if is_numeric(value) and not is_nothing(value) and not is_plain and not has_reason:
                found[value.lineno, value.col_offset] = name
    return [name for _, name in sorted(found.items())]


def are_settings(bases: list[ast.expr]) -> bool:
    return any(ast.unparse(base).endswith("Settings") for base in bases)


def values(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The places where a constant could stand, by name."""
    match node:
        case ast.ClassDef(body=body, bases=bases) if not are_settings(bases):
            yield from (pair for one in body for pair in assigned(one))
        case ast.FunctionDef(args=arguments) | ast.AsyncFunctionDef(args=arguments) | ast.Lambda(args=arguments):
            ordered = [*arguments.posonlyargs, *arguments.args]
            pairs = zip(reversed(ordered), reversed(arguments.defaults), strict=False)
            named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            yield from ((one.arg, default) for one, default in [*pairs, *named] if default is not None)
        case ast.Assign() | ast.AnnAssign():
            yield from (pair for pair in assigned(node) if _OF_TIME.fullmatch(pair[0]))
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=positional, keywords=keywords):
            yield from ((one.arg, one.value) for one in keywords if one.arg and _OF_TIME.fullmatch(one.arg))
            if name in _THAT_WAIT and positional:
                yield f"{name}_seconds", positional[0]


def assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield target.attr if isinstance(target, ast.Attribute) else ast.unparse(target), node.value


def number_in(value: ast.expr) -> object:
    """A literal's number; None for what is computed."""
    try:
        return ast.literal_eval(value)
    except ValueError:
        return None


def is_nothing(value: ast.expr) -> bool:
    return number_in(value) == 0 or ast.unparse(value) in {"timedelta()", "timedelta(0)"}


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


def test_no_number_stands_where_it_has_neither_name_nor_reason() -> None:
    found = {name: bare_numbers(path.read_text(encoding="utf-8")) for name, path in modules().items()}

    assert {name: numbers for name, numbers in found.items() if numbers} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(size=500, *, rest_seconds=0.5, most=A): pass", ["size", "rest_seconds"]),
        ("def f(\n    size=500,  # reason\n    more=500,\n): pass", ["more"]),
        ("def f(first, tries=1, after=0, wait_ms=1): pass", ["wait_ms"]),
        (
            "class C:\n    most = 5\n    few: int = 3  # reason\n    count: int = 0\n    rest_seconds = 1.0",
            ["most", "rest_seconds"],
        ),
        ("class C(BaseSettings):\n    most_ms = 5", []),
        ("# reason\nA = timedelta(seconds=5)\nf(timedelta(seconds=5))", ["seconds"]),
        ("a.rest_seconds = 5.0\nb = 5\nrest_ms = A * 2\nleft_seconds = 0.0", ["rest_seconds"]),
        ("f(1, timeout=5, least=3)\nf(rest_ms=5)  # reason", ["timeout"]),
        ("time.sleep(0.1)\nstop.wait(A)\nstop.wait(0.2)  # reason", ["sleep_seconds"]),
    ],
)
def test_a_number_with_neither_name_nor_reason_is_found(source: str, found: list[str]) -> None:
    assert bare_numbers(source) == found


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
