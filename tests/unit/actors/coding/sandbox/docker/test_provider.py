"""Containers: the contract of providers, lost answers, and workers that begin at once. The `docker` is a stand-in."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from actors.coding.sandbox.base import SandboxError, SandboxSetupError
from actors.coding.sandbox.docker.provider import DockerProvider
from actors.coding.sandbox.sweeper import Sessions, sweep
from tests.support.fake_docker import IMAGE, FakeDocker
from tests.support.sandboxes import SPEC, local_provider, run
from tests.unit.actors.coding.sandbox.contract import ProviderContract


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDocker]:
    if os.geteuid() != 0:
        pytest.skip("only root can enter the namespaces of the stand-in's containers")
    local_provider(tmp_path)
    docker = FakeDocker(tmp_path / "docker")
    monkeypatch.setenv("PATH", f"{docker.programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", docker.host)
    yield docker
    docker.close()


def provider_for(installation: str = "tests", image: str = IMAGE) -> DockerProvider:
    return DockerProvider(image=image, installation=installation)


@pytest.fixture
def provider(docker: FakeDocker) -> Iterator[DockerProvider]:
    provider = provider_for()
    yield provider
    for info in provider.list():
        provider.destroy(info.session_id)


class TestDockerProvider(ProviderContract):
    @pytest.fixture
    def provider(self, docker: FakeDocker) -> DockerProvider:
        return provider_for()


@pytest.mark.parametrize(
    "faults",
    [
        [("create", "refused")],
        [("create", "reply lost")],
        [("create", "reply lost"), ("start", "reply lost")],
        [("container inspect", "refused"), ("start", "refused")],
        [("create", "Error response from daemon: You have to remove that: removal of container x is in progress")],
        [("start", "slow"), ("start", "Error response from daemon: container is marked for removal")],
    ],
    ids=str,
)
def test_there_is_one_container_whatever_gets_lost(
    docker: FakeDocker, provider: DockerProvider, faults: list[tuple[str, str]]
) -> None:
    docker.fail(*faults)

    sandbox = provider.obtain(uuid4(), 1, SPEC)

    assert run(sandbox, "echo here").text() == "here\n"
    assert (len(docker.containers), len(docker.volumes)) == (1, 3)
    sandbox.close()


def test_workers_that_begin_at_once_have_one_container(docker: FakeDocker, provider: DockerProvider) -> None:
    session_id, workers = uuid4(), [provider_for() for _ in range(4)]
    docker.fail(("create", "slow"))
    with ThreadPoolExecutor(4) as threads:
        sandboxes = list(threads.map(lambda worker: worker.obtain(session_id, 1, SPEC), workers))

    for sandbox in sandboxes:
        assert run(sandbox, "echo here").text() == "here\n"
    assert (len(docker.containers), len(docker.volumes)) == (1, 3)
    for worker in workers:
        worker.stop(session_id)


@pytest.mark.parametrize("fault", ["refused", "reply lost"])
def test_nothing_is_left_of_what_was_destroyed(docker: FakeDocker, provider: DockerProvider, fault: str) -> None:
    session_id = uuid4()
    provider.obtain(session_id, 1, SPEC)
    docker.fail(("rm", fault))

    provider.destroy(session_id)

    assert (docker.containers, docker.volumes, docker.faults) == ({}, [], [])


def test_an_engine_that_does_not_come_back_is_an_error_that_may_be_tried_again(
    docker: FakeDocker, provider: DockerProvider
) -> None:
    docker.fail(*[("create", "refused")] * 3)

    with pytest.raises(SandboxError, match="the engine cannot be reached") as raised:
        provider.obtain(uuid4(), 1, SPEC)

    assert not isinstance(raised.value, SandboxSetupError)


def test_a_full_drive_is_said(docker: FakeDocker, provider: DockerProvider) -> None:
    docker.fail(("create", "Error response from daemon: mkdir /var/lib/docker/x: no space left on device"))

    with pytest.raises(SandboxError, match="no space left on device: the engine's drive is full"):
        provider.obtain(uuid4(), 1, SPEC)


def test_an_image_that_is_not_there_is_said(docker: FakeDocker) -> None:
    message = r"^the engine has no image other:1 \(SANDBOX_IMAGE\): docker pull other:1$"
    provider = provider_for(image="other:1")

    with pytest.raises(SandboxSetupError, match=message):
        provider.check()
    with pytest.raises(SandboxSetupError, match=message):
        provider.obtain(uuid4(), 1, SPEC)


def test_an_image_in_which_commands_could_replace_our_python_is_refused(docker: FakeDocker) -> None:
    provider_for().check()
    (docker.folder / "image.json").write_text('{"Env": ["PATH=/home/agent/.local/bin:/usr/bin"]}')

    with pytest.raises(SandboxSetupError, match=r"^the PATH of the image image:1 .* has /home/agent/.local/bin, where"):
        provider_for().check()


def test_no_engine_is_said(docker: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    provider_for().check()
    monkeypatch.setenv("DOCKER_HOST", "tcp://nowhere")

    with pytest.raises(SandboxSetupError, match="the engine does not run, or DOCKER_HOST leads elsewhere") as raised:
        provider_for().check()

    assert "\n" not in str(raised.value)


def test_containers_of_another_installation_are_left_alone(docker: FakeDocker, provider: DockerProvider) -> None:
    session_id, other = uuid4(), provider_for("the other's {database}")
    other.obtain(session_id, 1, SPEC).close()

    assert provider.list() == []
    provider.destroy(session_id)

    assert [info.session_id for info in other.list()] == [session_id]
    other.destroy(session_id)


def test_a_sweep_stops_what_is_idle_and_removes_what_is_over(docker: FakeDocker, provider: DockerProvider) -> None:
    kept, over = uuid4(), uuid4()
    for session_id in (kept, over):
        provider.obtain(session_id, 1, SPEC).write("file", b"x")
    sessions, later = Sessions(working=(), kept={kept}), datetime.now(UTC) + timedelta(hours=2)

    sweep(provider, lambda _: sessions, later, idle=timedelta(hours=1), most=10)

    assert [(info.session_id, info.is_running) for info in provider.list()] == [(kept, False)]
    assert len(docker.volumes) == 3
    again = provider.obtain(kept, 2, SPEC)
    assert again.read("file", most=1) == b"x"
    again.close()


def test_a_command_can_neither_end_nor_forge_what_watches_it(provider: DockerProvider) -> None:
    sandbox = provider.obtain(uuid4(), 1, SPEC)

    run(sandbox, "kill -9 -1; ls -R /var/lib/mobvibe; cat /proc/*/environ; for f in /proc/*/fd; do ls $f; done")
    tried = run(sandbox, "kill -9 -1; cd /var/lib/mobvibe || touch /proc/1/cwd/x || echo > /var/lib/x || echo held")

    assert tried.text() == "held\n"
    sandbox.close()


def test_listed_hosts_are_reached_by_the_workers_proxy_and_no_others(provider: DockerProvider) -> None:
    sandbox = provider.obtain(uuid4(), 1, replace(SPEC, allowed_hosts=("listed.invalid",)))
    ask = "import urllib.request as r\ntry: r.urlopen('http://%s/')\nexcept Exception as e: print(e, e.read().decode())"

    other = run(sandbox, ["python3", "-c", ask % "other.invalid"]).text()
    listed = run(sandbox, ["python3", "-c", ask % "listed.invalid"]).text()

    assert "the sandbox may not reach other.invalid: it is not among SANDBOX_NETWORK" in other
    assert "listed.invalid has no address" in listed
    sandbox.close()
