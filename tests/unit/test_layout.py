"""Tests are found by name: those of bridge/a/b.py in tests/<kind>/a/test_b.py."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
BRIDGE = TESTS.parent / "bridge"

# Modules without a test file of their name, and why.
WITHOUT = {
    "cli/finding.py": "a dataclass; tests of the doctor read it",
    "dev/embedded/identity.py": "root, and kernels without namespaces; each start of the embedded Postgres asks it",
    "errors.py": "exceptions; each is raised in the tests of the module that raises it",
    "logs/fields.py": "a dict that remembers its text; test_job_lines.py writes it",
    "runtime/clock.py": "the system's clock; dispatch/test_recovery.py lets it sleep",
    "transport/consumer_broker.py": "a Protocol; mypy checks it",
    "worker/stop_signals.py": "signals to Dramatiq's processes: acceptance/test_processes.py and test_restarts.py",
    "worker/ending.py": "a dataclass; worker/test_reports.py writes it",
    "worker/stop_times.py": "constants; acceptance/test_processes.py stops real worker processes",
    "worker/watched.py": "hooks of real worker processes: acceptance/cli/test_probes.py",
}


def has_tests(module: Path) -> bool:
    place = module.relative_to(BRIDGE).with_name(f"test_{module.name}")
    return any((TESTS / kind / place).exists() for kind in ("unit", "integration", "acceptance"))


def test_every_module_has_a_test_file_of_its_name_or_a_reason() -> None:
    modules = [path for path in BRIDGE.rglob("*.py") if path.name not in {"__init__.py", "__main__.py"}]

    without = {str(path.relative_to(BRIDGE)) for path in modules if not has_tests(path)}

    assert without == set(WITHOUT)
    assert len(WITHOUT) <= 10


def test_every_folder_of_tests_is_a_package() -> None:
    """Two files of one name cannot be collected otherwise."""
    for path in TESTS.rglob("test_*.py"):
        assert (path.parent / "__init__.py").exists(), path
