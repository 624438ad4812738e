"""A real Docker engine for tests, where there is one or one can be started, and an image of this machine's programs."""

import functools
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

IMAGE = "mobvibe-tests:latest"
START_SECONDS = 30.0
PYTHON = "/usr/bin/python3"
PROGRAMS = (
    "sh env ls cat grep find tar sleep head tail wc tr seq date mkdir mkfifo ln chmod stat rm touch printf setsid id "
    "true git"
)


@contextmanager
def engine() -> Iterator[None]:
    """The engine that `docker` finds, else one of our own. Skips without either, unless DOCKER_TESTS=required."""
    if _answers():
        yield
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None or shutil.which("docker") is None:
        if os.environ.get("DOCKER_TESTS") == "required":
            raise RuntimeError("no Docker engine runs here, and none can be started")
        pytest.skip("no Docker engine runs here, and none can be started: scripts/install-docker.sh")
    with tempfile.TemporaryDirectory(prefix="docker-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{folder}/socket")
        process = _started(Path(folder))
        try:
            yield
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _started(folder: Path) -> subprocess.Popen[bytes]:
    """Without a network of its own, so that nothing of the machine's changes."""
    places = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["dockerd", "--iptables=false", "--bridge=none", "--host", os.environ["DOCKER_HOST"], *places],
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + START_SECONDS
    while not _answers():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"dockerd does not start: {(folder / 'log').read_text()[-500:]}")
        time.sleep(0.1)
    return process


def _answers() -> bool:
    if shutil.which("docker") is None:
        return False
    asked = ["docker", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def make_image() -> None:
    """Import what tests need of this machine: a Python, a shell, and some programs."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        pack_root(Path(file.name))
        subprocess.run(["docker", "import", file.name, IMAGE], check=True, capture_output=True)


def pack_root(target: Path) -> None:
    found = [shutil.which(name, path="/usr/bin") for name in PROGRAMS.split()]
    names = {Path(name) for name in (PYTHON, *filter(None, found))}
    files = names | {name.resolve() for name in names}
    modules = Path("/usr/lib", Path(PYTHON).resolve().name)
    libraries = {path for file in [*files, *modules.rglob("*.so")] for path in _libraries(file)}
    with tarfile.open(target, "w") as archive:
        for name in ("bin", "sbin", "lib", "lib64"):
            archive.add(f"/{name}", recursive=False)
        for path in files | libraries:
            archive.add(path)
        archive.add(modules, filter=lambda entry: None if "__pycache__" in entry.name else entry)


@functools.cache
def _libraries(file: Path) -> frozenset[Path]:
    said = subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout
    paths = [word for line in said.splitlines() for word in line.split() if word.startswith("/")]
    return frozenset(usr for path in paths for usr in _with_links(Path(path)))


def _with_links(path: Path) -> set[Path]:
    """A library by each of its names: links, and the file."""
    place = Path(os.path.realpath(path.parent)) / path.name
    return {place, place.resolve()}


if __name__ == "__main__":  # for .ci/run: whether its tests can run here
    with engine():
        make_image()
