"""Tries in a separate process whether the actors package can be imported, and says what to do if it cannot."""

import subprocess
import sys
import tempfile

IMPORT_SECONDS = 120.0  # some packages load a model; one that takes longer counts as importable
_NOT_CONNECTED, _ABSENT = "connect_broker() was not called", "absent: "
# The last line on standard error is the answer. It names the innermost place in the user's own files.
# os._exit: threads that the package started must not keep the process alive.
_IMPORT = f"""
import importlib, os, sys, traceback
sys.path.insert(0, ".")
def end(text):
    print(text, file=sys.stderr, flush=True)
    os._exit(1)
module = sys.argv[1]
try:
    importlib.import_module(module)
except Exception as error:
    text = f"{{type(error).__name__}}: {{error}}".splitlines()[0]
    if isinstance(error, ModuleNotFoundError) and error.name and f"{{module}}.".startswith(f"{{error.name}}."):
        end({_ABSENT!r} + text)
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    own = [one for one in places if not one[0].startswith("<") and "site-packages" not in one[0]
           and not one[0].startswith(os.path.dirname(os.__file__))]
    for path, line in (own or places)[-1:]:
        text = f"{{os.path.relpath(path)}}:{{line}}: {{text}}"
    end(text)
import dramatiq.broker
from bridge.broker import FleetBroker
isinstance(dramatiq.broker.global_broker, FleetBroker) or end({_NOT_CONNECTED!r})
os._exit(0)
"""


def import_error(module: str) -> str | None:
    """One line: why the actors package cannot be used, and what to do. None if it can, or takes too long."""
    # Not a pipe: a process that the package starts would keep it open.
    with tempfile.TemporaryFile("w+", errors="replace") as stderr:
        try:
            code = subprocess.call(
                [sys.executable, "-c", _IMPORT, module],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, timeout=IMPORT_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
        if code == 0:
            return None
        stderr.seek(0)
        lines = stderr.read().strip().splitlines()
    return _advice(module, lines[-1][:500] if lines else f"it ended the process, exit code {code}")


def _advice(module: str, reason: str) -> str:
    if reason == _NOT_CONNECTED:
        return (
            f"The actors package {module!r} never calls connect_broker(), so its actors belong to another broker. "
            "Put this first in its __init__.py: from bridge.broker import connect_broker; connect_broker()"
        )
    if reason.startswith(_ABSENT):
        return (
            f"The actors package {module!r} cannot be imported ({reason.removeprefix(_ABSENT)}). "
            "Run from the folder that holds it, or set ACTORS_MODULE."
        )
    return f"The actors package {module!r} cannot be imported: {reason}"
