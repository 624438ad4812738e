"""The command line of Docker, and what its errors mean."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence

from actors.coding.sandbox.base import SandboxError, SandboxSetupError

ANSWER_SECONDS = 60.0  # for a container to start or stop on a busy machine: usually it takes one
POLL_SECONDS = 0.05  # the longest time in which an interrupt cannot reach the thread that waits
LINE_CHARACTERS = 300  # of what the engine says: enough for its reason
UNCLEAR = "error during connect"  # docker says so when the answer got lost: nobody knows what was done
GUIDE = "see docs/how-to/docker-sandboxes.md"
# What the command line needs of the worker's environment: where the engine is, and how to reach it.
_VARIABLES = ("PATH", "HOME", "USER", "LANG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "TMPDIR")
_FAMILIES = ("DOCKER_", "CONTAINER_", "CONTAINERS_")
# Parts of what docker and podman say, in small letters, and what is to be done. The first one that fits counts.
_NO_RETRY = (
    ("connect: permission denied", f"this account may not use the engine: {GUIDE}"),
    ("permission denied while trying", f"this account may not use the engine: {GUIDE}"),
    ("executable file not found", f"the image has no python3: {GUIDE}"),
    ("container-init", "the engine has no init: apt-get install catatonit, or tini for Docker"),
)
_RETRY = (
    ("no space left", "the engine's drive is full: docker system df shows what takes it"),
    ("cannot connect to", "the engine does not run, or DOCKER_HOST leads elsewhere: docker info"),
    ("is the docker daemon running", "the engine does not run, or DOCKER_HOST leads elsewhere: docker info"),
    (UNCLEAR, "the engine cannot be reached: docker info"),
)


class DockerError(SandboxError):
    """A command of docker failed. `said`: what it wrote on its error output."""

    def __init__(self, text: str, said: str) -> None:
        super().__init__(text)
        self.said = said.lower()

    def is_about(self, *parts: str) -> bool:
        return any(part in self.said for part in parts)


def path() -> str:
    """Where docker is. Raises SandboxSetupError."""
    found = shutil.which("docker")
    if found is None:
        raise SandboxSetupError(
            "docker, which SANDBOX=docker needs, is not installed: apt-get install docker.io, or podman-docker"
        )
    return found


def environment() -> dict[str, str]:
    """That of docker: nothing else of the worker's."""
    return {name: value for name, value in os.environ.items() if name in _VARIABLES or name.startswith(_FAMILIES)}


def docker(*arguments: str) -> bytes:
    """Run it, and return what it wrote. Raises DockerError, SandboxSetupError."""
    with subprocess.Popen(
        [path(), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    ) as process:
        try:
            output, errors = _wait(process, f"docker {arguments[0]}")
        finally:
            process.kill()  # an interrupt, or the deadline: whatever it has done is found by its name
    if process.returncode != 0:
        raise error_of(arguments[0], errors.decode(errors="replace"))
    return output


def _wait(process: subprocess.Popen[bytes], what: str) -> tuple[bytes, bytes]:
    """Its output and error output, once it has ended."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=POLL_SECONDS)
    raise DockerError(f"{what} has not answered for {ANSWER_SECONDS:g} s", UNCLEAR)


def error_of(subcommand: str, said: str) -> SandboxError:
    """What a failure means, in one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and "--help" not in line]
    first, last = (lines[0], lines[-1]) if lines else ("no reason given", "")
    problem = (last if first.startswith("Traceback") else first)[:LINE_CHARACTERS]
    low = said.lower()
    for part, advice in _NO_RETRY:
        if part in low:
            return SandboxSetupError(f"docker {subcommand}: {problem}: {advice}")
    advice = next((f": {advice}" for part, advice in _RETRY if part in low), "")
    return DockerError(f"docker {subcommand}: {problem}{advice}", said)


def labels(wanted: Mapping[str, str]) -> Sequence[str]:
    """Options that list what has these labels."""
    return [part for name, value in wanted.items() for part in ("--filter", f"label={name}={value}")]
