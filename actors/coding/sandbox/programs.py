"""Our programs that run where the sandboxes are: sent along, so that they are of the worker's version."""

from pathlib import Path

MAIN = "actors/coding/sandbox/daemon/__main__.py"
_PACKAGE = Path(__file__).parent
_NAMES = ("base", "bubblewrap", "client", "container", "folders", "host", "local", "seccomp", "warden")


def programs() -> dict[str, str]:
    """The text of each program, by its path below the folder in which they shall be."""
    files = [_PACKAGE / f"{name}.py" for name in _NAMES] + sorted((_PACKAGE / "daemon").glob("*.py"))
    root = _PACKAGE.parents[2]
    return {str(file.relative_to(root)): file.read_text() for file in files}
