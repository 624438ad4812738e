"""Imports point one way: from the command line down to the shared modules at the root."""

import ast
from pathlib import Path

import pytest

BRIDGE = Path(__file__).parents[2] / "bridge"

# A folder imports only from the rows above its own, or from itself; the modules at the root belong to the first row.
LAYERS = [
    {"words"},
    {"settings"},
    {"runtime", "snapshots"},
    {"logs", "postgres", "transport"},
    {"startup", "support"},
    {"dispatch", "worker", "web"},
    {"dev", "broker"},
    {"cli", "sessions", "testing"},
    {"__main__", "the package"},  # which imports what users import by its name: for them, and for none of us
]
WORDS = {"actor_decorator", "addresses", "errors", "job"}
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# Which folder may import a foreign package.
ALLOWED = {
    "psycopg": {"postgres"},
    "psycopg_pool": {"postgres"},
    "redis": {"transport"},
    "flask": {"web"},
    "a2wsgi": {"web"},
    "h11": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "jwt": {"web"},
    "prometheus_client": {"web"},
    "click": {"cli", "dev"},
    "dramatiq": {"words", "broker", "postgres", "testing", "transport", "worker"},
}


def modules() -> list[Path]:
    return sorted(BRIDGE.rglob("*.py"))


def unit(name: str) -> str:
    """The folder, or the module at the root, that a dotted name below `bridge` belongs to."""
    part = name.split(".")[1] if "." in name else "the package"
    return "words" if part in WORDS else part


def dotted(path: Path) -> str:
    parts = path.relative_to(BRIDGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """The dotted names of the modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {module_of(f"{node.module}.{alias.name}") for alias in node.names}
    return found


def module_of(name: str) -> str:
    while name.startswith("bridge.") and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


MODULES = {dotted(path) for path in modules()}


def test_few_files_lie_at_the_root() -> None:
    assert len(list(BRIDGE.glob("*.py"))) <= 8


def test_every_module_has_its_place() -> None:
    assert {unit(name) for name in MODULES} <= set(LEVEL)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(BRIDGE)))
def test_imports_point_one_way(path: Path) -> None:
    ours = unit(dotted(path))
    for name in imports(path):
        first = name.split(".")[0]
        assert first != "actors", "the bridge knows actors by name only"
        assert ours in ALLOWED.get(first, {ours}), f"{ours} may not import {first}"
        if first == "bridge":
            other = unit(name)
            assert other == ours or LEVEL[other] < LEVEL[ours], f"{ours} imports {name}: not from a lower layer"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {dotted(path): {name for name in imports(path) if name.split(".")[0] == "bridge"} for path in modules()}
    while leaves := {name for name, others in graph.items() if not others & graph.keys()}:
        graph = {name: others for name, others in graph.items() if name not in leaves}
    assert not graph


def test_actors_know_neither_stores_nor_settings() -> None:
    for path in sorted((BRIDGE.parent / "actors").rglob("*.py")):
        for name in imports(path):
            assert name.split(".")[0] not in {"psycopg", "redis", "pydantic_settings", "flask"}, f"{path.name}: {name}"
            assert not name.startswith(("bridge.settings", "bridge.postgres.link", "bridge.transport")), (
                f"{path.name}: {name}"
            )


def test_statements_live_in_files() -> None:
    for path in modules():
        if {"migrations", "embedded"} & set(path.parts):
            continue  # they make databases and schemas, which take no parameters
        if path.name == "calls.py":
            continue  # put together from constants in the same file
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                text = ast.unparse(node).upper()
                assert not any(
                    f"{verb} " in text for verb in ("SELECT", "INSERT INTO", "UPDATE PUBLIC", "DELETE FROM")
                ), path
