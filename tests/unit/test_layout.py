"""Tests are found by name: those of bridge/a/b.py in tests/<kind>/a/test_b.py, of actors/a.py in <kind>/actors."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
BRIDGE, ACTORS = ROOT / "bridge", ROOT / "actors"

# Modules without a test file of their name, and why.
WITHOUT = {
    "cli/finding.py": "a dataclass; tests of the doctor read it",
    "dev/embedded/identity.py": "root, and kernels without namespaces; each start of the embedded Postgres asks it",
    "errors.py": "exceptions; each is raised in the tests of the module that raises it",
    "logs/fields.py": "a dict that remembers its text; test_job_lines.py writes it",
    "runtime/clock.py": "the system's clock; dispatch/test_recovery.py lets it sleep",
    "transport/consumer_broker.py": "a Protocol; mypy checks it",
    "worker/ending.py": "a dataclass; worker/test_reports.py writes it",
    "worker/stop_times.py": "constants; acceptance/test_processes.py stops real worker processes",
    "worker/watched.py": "hooks of real worker processes: acceptance/cli/test_probes.py",
}
WITHOUT_OF_ACTORS = {
    "coding/agent/claude/instructions.py": "a text for the model",
    "coding/agent/model.py": "a Protocol; mypy checks it, and both runners have one",
    "coding/agent/runner.py": "Protocols; mypy checks them, and the tests of the runners use them",
    "coding/sandbox/base.py": "Protocols; mypy checks them, and the tests of the providers use them",
    "coding/sandbox/client.py": "the other end of the daemon; test_local.py and daemon/test_server.py use it",
    "coding/sandbox/host.py": "the program of a machine; fly/test_provider.py runs it in each",
    "coding/sandbox/container.py": "the program of a container; docker/test_provider.py and test_engine.py run it",
    "coding/sandbox/docker/boot.py": "the first lines in a container; docker/test_provider.py and test_engine.py",
    "coding/sandbox/docker/link.py": "connections to a container; docker/test_provider.py and test_engine.py",
    "coding/sandbox/docker/relay.py": "the other end of a link; docker/test_provider.py and test_engine.py",
    "coding/sandbox/hello.py": "the first message to a host; fly/test_provider.py and docker/test_provider.py",
    "coding/sandbox/programs.py": "a list of files; fly/test_provider.py and docker/test_provider.py run them",
    "coding/sandbox/daemon/calls.py": "the calls of a daemon; daemon/test_server.py asks for them",
    "coding/sandbox/daemon/connection.py": "a client of the daemon; daemon/test_server.py connects",
    "coding/sandbox/daemon/identity.py": "root, mounts and accounts; test_escapes.py and test_local.py as root",
    "coding/sandbox/daemon/launch.py": "the arguments of bubblewrap; test_escapes.py runs it",
    "coding/sandbox/daemon/operations.py": "what the daemon does; test_local.py and daemon/test_server.py ask for it",
}
# Packages whose __init__ does more than export, and why. Code there would be in no module that tests are named after.
WITH_CODE = {
    "bridge/__init__.py": "imports each public name when it is first used; test_packaging.py uses them",
    "actors/__init__.py": "connects the broker before it imports the modules that declare actors",
}


def places_of(module: Path) -> list[Path]:
    """Where the tests of a module may be."""
    place = module.relative_to(BRIDGE if BRIDGE in module.parents else ROOT).with_name(f"test_{module.name}")
    return [TESTS / kind / place for kind in ("unit", "integration", "acceptance")]


def only_exports(module: Path) -> bool:
    """A docstring, imports, `__all__`, and nothing else."""
    return all(
        isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        for node in ast.parse(module.read_text()).body
    )


def test_every_module_has_a_test_file_of_its_name_or_a_reason() -> None:
    found = [*BRIDGE.rglob("*.py"), *ACTORS.rglob("*.py")]
    modules = [path for path in found if path.name not in {"__init__.py", "__main__.py"}]

    without = {path for path in modules if not any(place.exists() for place in places_of(path))}

    assert without == {BRIDGE / name for name in WITHOUT} | {ACTORS / name for name in WITHOUT_OF_ACTORS}
    assert len(WITHOUT) <= 10


def test_packages_hold_no_code_beside_their_modules() -> None:
    packages = [*BRIDGE.rglob("__init__.py"), *ACTORS.rglob("__init__.py")]

    assert {str(path.relative_to(ROOT)) for path in packages if not only_exports(path)} == set(WITH_CODE)


def test_every_folder_of_tests_is_a_package() -> None:
    """Two files of one name cannot be collected otherwise."""
    for path in TESTS.rglob("test_*.py"):
        assert (path.parent / "__init__.py").exists(), path
