"""Imports point one way: from the edges down to the words."""

import ast
from pathlib import Path

import pytest

BRIDGE = Path(__file__).parents[2] / "bridge"

# A module imports only from its own layer or a lower one. Inside a layer, the order is the order of the journey.
LAYERS = [
    {
        "actor_options",
        "addresses",
        "backoff",
        "clock",
        "errors",
        "job",
        "json_text",
        "kill_points",
        "liveness_file",
        "log_buffer",
        "log_fields",
        "log_lines",
        "log_record",
        "logs",
        "outages",
        "own_loggers",
        "refused_rows",
        "settings",
        "stores_file",
        "terminal",
        "watchdog",
    },  # words
    {
        "connection",
        "connection_budget",
        "database",
        "group_commit",
        "liveness",
        "loop",
        "parent_watch",
        "pool",
        "postgres_errors",
        "read_only",
        "signals",
        "startup_checks",
    },  # tools
    {
        "actor_decorator",
        "attempts",
        "closed_queues",
        "envelope",
        "frontier",
        "job_queue",
        "listener",
        "migrations",
        "pace",
        "refusals",
        "queue_rows",
        "room",
        "sender",
        "transport",
    },  # borders
    {
        "dispatcher",
        "monitor",
        "reconciler",
        "recovery",
        "reporter",
        "retention",
        "routing",
        "suspects",
        "upkeep",
        "worker",
    },  # hops
    {"web"},  # window
    {
        "__main__",
        "bridge_process",
        "broker",
        "cli",
        "doctor",
        "doctor_connections",
        "doctor_redis",
        "embedded",
        "finding",
        "testing",
        "up",
    },  # edges
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# Who may import a foreign package.
ALLOWED = {
    "psycopg": {"connection", "database", "job_queue", "listener", "migrations", "pool", "postgres_errors"},
    "psycopg_pool": {"pool"},
    "redis": {"transport"},
    "flask": {"web"},
    "gunicorn": {"web"},
    "jwt": {"web"},
    "prometheus_client": {"web"},
    "click": {"cli", "up"},
    "dramatiq": {"actor_decorator", "broker", "envelope", "reporter", "sender", "testing", "transport", "worker"},
}


def modules() -> list[Path]:
    return sorted(path for path in BRIDGE.rglob("*.py") if path.name != "__init__.py" or path.parent != BRIDGE)


def unit(path: Path) -> str:
    """The module or package directly below bridge/ that a file belongs to."""
    return path.relative_to(BRIDGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append(node.module or "")
    return found


def test_every_module_has_its_place() -> None:
    assert {unit(path) for path in modules()} <= set(LEVEL)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(BRIDGE)))
def test_imports_point_downward(path: Path) -> None:
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "bridge" and len(parts) > 1:
            assert LEVEL[parts[1]] <= LEVEL[unit(path)], f"{unit(path)} imports {name} from a higher layer"
        assert parts[0] != "actors", "the bridge knows actors by name only"
        assert unit(path) in ALLOWED.get(parts[0], {unit(path)}), f"{unit(path)} may not import {parts[0]}"


def test_actors_know_neither_stores_nor_settings() -> None:
    for path in sorted((BRIDGE.parent / "actors").rglob("*.py")):
        for name in imports(path):
            assert name.split(".")[0] not in {"psycopg", "redis", "pydantic_settings", "flask"}, f"{path.name}: {name}"
            assert not name.startswith(("bridge.settings", "bridge.database", "bridge.transport")), (
                f"{path.name}: {name}"
            )


def test_statements_live_in_files() -> None:
    for path in modules():
        if unit(path) in {"migrations", "embedded"}:
            continue  # they make databases and schemas, which take no parameters
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                text = ast.unparse(node).upper()
                assert not any(
                    f"{verb} " in text for verb in ("SELECT", "INSERT INTO", "UPDATE PUBLIC", "DELETE FROM")
                ), path
