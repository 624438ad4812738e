"""Whether the project has the package that its workers import."""

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
    """ACTORS_MODULE names nothing that can be imported here."""

    exit_code = 2


def check_actors_package(module: str, procfile: Path) -> None:
    """Raises NoActorsPackageError, with what to create, where the worker of the Procfile would not find `module`.

    Imports nothing. What is wrong inside the package is the worker's to say, and so is another worker's own package.
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
    """In this folder, which is where the worker looks first, or installed."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        return find_spec(package) is not None
    finally:
        del sys.path[0]
