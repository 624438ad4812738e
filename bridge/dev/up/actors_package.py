"""Checks before anything is started that the project has the package that its workers import."""

import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from bridge.errors import BridgeError

_SMALLEST = (
    "from bridge import Job, actor",
    "from bridge.broker import connect_broker",
    "connect_broker()",
    "@actor",
    "def hello(job: Job) -> dict:",
    '    return {"hello": job.payload}',
)
_OUR_WORKER = re.compile(r"\b(?:bridge|mobvibe) worker\b")


class NoActorsPackageError(BridgeError):
    """There is no package with the name in ACTORS_MODULE."""

    exit_code = 2  # as Dramatiq ends when it cannot import the package


def check_actors_package(module: str, procfile: Path) -> None:
    """Raise NoActorsPackageError, with a command that creates one, when our worker would not find `module`.

    Imports nothing: the worker itself reports errors inside the package. A Procfile with another worker command is not
    checked, for we do not know what that imports.
    """
    if not _OUR_WORKER.search(procfile.read_text(encoding="utf-8", errors="replace")) or _is_found(
        module.partition(".")[0]
    ):
        return
    lines = " ".join(shlex.quote(line) for line in _SMALLEST)
    raise NoActorsPackageError(
        f"There is no package {module!r} in {Path.cwd()}: set ACTORS_MODULE to yours, or make a first one with: "
        f"mkdir -p {module.replace('.', '/')} && printf '%s\\n' {lines} > {module.replace('.', '/')}/__init__.py"
    )


def _is_found(package: str) -> bool:
    """Whether a package is in this folder, which is first in the worker's import path, or is installed."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        return find_spec(package) is not None
    finally:
        del sys.path[0]
