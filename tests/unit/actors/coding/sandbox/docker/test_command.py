"""What docker says, and what the worker says of it: one line, with what to do."""

from pathlib import Path

import pytest

from actors.coding.sandbox.base import SandboxError, SandboxSetupError
from actors.coding.sandbox.docker.command import DockerError, docker, environment, error_of

SAID = {
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get ...": (
        SandboxSetupError,
        "this account may not use the engine: see docs/how-to/docker-sandboxes.md",
    ),
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?": (
        DockerError,
        "the engine does not run, or DOCKER_HOST leads elsewhere: docker info",
    ),
    "error during connect: Get https://engine:2376/v1.41/images: dial tcp: lookup engine: no such host": (
        DockerError,
        "the engine cannot be reached: docker info",
    ),
    "Error response from daemon: mkdir /var/lib/docker/overlay2/1: no space left on device": (
        DockerError,
        "the engine's drive is full: docker system df shows what takes it",
    ),
    'OCI runtime exec failed: exec: "python3": executable file not found in $PATH: unknown': (
        SandboxSetupError,
        "the image has no python3: see docs/how-to/docker-sandboxes.md",
    ),
    "Error: container-init binary not found on the host: stat /usr/libexec/podman/catatonit: no such file": (
        SandboxSetupError,
        "the engine has no init: apt-get install catatonit, or tini for Docker",
    ),
}


@pytest.mark.parametrize("said", SAID)
def test_an_error_is_one_line_with_what_to_do(said: str) -> None:
    kind, advice = SAID[said]

    error = error_of("start", f"{said}\nError: failed to start containers: x\n\nRun 'docker start --help'\n")

    assert (type(error), str(error)) == (kind, f"docker start: {said}: {advice}")


def test_an_unknown_error_is_what_docker_says_and_may_be_tried_again() -> None:
    error = error_of("create", "\nError response from daemon: strange\nmore\n")

    assert not isinstance(error, SandboxSetupError)
    assert str(error) == "docker create: Error response from daemon: strange"
    assert str(error_of("create", "")) == "docker create: no reason given"
    assert (
        str(error_of("exec", "Traceback (most recent call last):\n  File\nOSError: it")) == "docker exec: OSError: it"
    )


def test_without_docker_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SandboxSetupError, match="^docker, which SANDBOX=docker needs, is not installed") as raised:
        docker("ps")

    assert "\n" not in str(raised.value)


def test_docker_gets_where_its_engine_is_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://engine")
    monkeypatch.setenv("DATABASE_URL", "made-up")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")

    assert environment()["DOCKER_HOST"] == "tcp://engine"
    assert "made-up" not in environment().values()


def test_a_docker_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "docker"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("actors.coding.sandbox.docker.command.ANSWER_SECONDS", 0.2)

    with pytest.raises(SandboxError, match=r"^docker start has not answered for 0\.2 s$"):
        docker("start", "x")
