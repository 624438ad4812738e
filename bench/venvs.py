"""A virtual environment for each peer, made once and kept."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

_SECONDS = 600


def make(folder: Path, name: str, requirements: tuple[str, ...]) -> Path:
    """The `bin` folder of a virtual environment with `requirements`; without any, that of this project."""
    if not requirements:
        return Path(sys.executable).parent
    stamp = hashlib.sha256(" ".join((sys.version, *requirements)).encode()).hexdigest()
    venv = folder / name
    marker = venv / ".made-from"
    if not marker.exists() or marker.read_text() != stamp:
        print(f"Making an environment for {name}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True, timeout=_SECONDS)
        subprocess.run(
            [venv / "bin" / "pip", "install", "-qq", "--disable-pip-version-check", *requirements],
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            check=True,
            timeout=_SECONDS,
        )
        marker.write_text(stamp)
    return venv / "bin"
