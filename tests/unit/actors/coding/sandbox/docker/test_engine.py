"""Containers of a real engine, where one runs or can be started: walls, ends, and the contract of providers.

Some of the contract's tests, because each makes a container. All of them with DOCKER_TESTS=all.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from actors.coding.sandbox.docker.provider import DockerProvider
from actors.coding.workspace.choice import Limits
from actors.coding.workspace.restore import restore
from actors.coding.workspace.save import save
from bridge.snapshots.repository import Repository
from tests.support import docker_engine
from tests.support.sandboxes import SPEC, alive, marked_sleep, run
from tests.support.waiting import eventually
from tests.unit.actors.coding.sandbox.contract import ProviderContract

CHOSEN = {
    "test_limits_end_a_command_and_say_which",
    "test_an_earlier_attempt_is_refused_and_its_commands_end",
    "test_a_call_that_has_ended_answers_later_attempts",
    "test_sandboxes_are_listed_stopped_and_destroyed",
}


@pytest.fixture(scope="module", autouse=True)
def engine() -> Iterator[None]:
    with docker_engine.engine():
        docker_engine.make_image()
        yield


@pytest.fixture
def provider() -> DockerProvider:
    return DockerProvider(image=docker_engine.IMAGE, installation="tests")


@pytest.fixture
def session_id(provider: DockerProvider) -> Iterator[UUID]:
    session_id = uuid4()
    yield session_id
    provider.destroy(session_id)


class TestDockerProvider(ProviderContract):
    @pytest.fixture(autouse=True)
    def chosen(self, request: pytest.FixtureRequest) -> None:
        if request.node.originalname not in CHOSEN and os.environ.get("DOCKER_TESTS") != "all":
            pytest.skip("the contract is tried whole with DOCKER_TESTS=all, and in test_provider.py")

    @pytest.fixture
    def provider(self) -> DockerProvider:
        return DockerProvider(image=docker_engine.IMAGE, installation="tests")


TRIES = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
held = {
    "account": os.getuid() == os.getgid() >= 61184 and not os.getgroups(),
    "capabilities": status["CapPrm"] == status["CapEff"] == status["CapAmb"] == "0" * 16,
    "rights": status["NoNewPrivs"] == "1",
    "filter": status["Seccomp"] == "2",
    "network": os.listdir("/sys/class/net") == ["lo"],
    "engine": not os.path.exists("/var/run/docker.sock") and not os.path.exists("/run/docker.sock"),
    "namespaces": libc.unshare(0x10000000) == -1 and libc.unshare(0x20000) == -1,
    "mounts": libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == -1,
}
for place in ("/", "/usr", "/etc", "/var", "/home", "/sys/fs/cgroup", "/proc/sys/kernel", "/var/lib/mobvibe"):
    try:
        open(place + "/x", "w")
        held[place] = False
    except OSError:
        held[place] = True
for name, place in (("address", ("1.1.1.1", 53)), ("metadata", ("169.254.169.254", 80))):
    try:
        socket.create_connection(place, 2)
        held[name] = False
    except OSError:
        held[name] = True
try:
    socket.socket(socket.AF_VSOCK)
    held["vsock"] = False
except OSError:
    held["vsock"] = True
for number in [n for n in os.listdir("/proc") if n.isdigit() and n != str(os.getpid())]:
    try:
        held["environment"] = held.get("environment", True) and "made-up" not in open(f"/proc/{number}/environ").read()
        os.kill(int(number), 9)
    except OSError:
        pass
print([name for name, is_held in held.items() if not is_held], len(held))
"""


def test_walls_of_a_container(provider: DockerProvider, session_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")
    sandbox = provider.obtain(session_id, 1, SPEC)

    ran = run(sandbox, ["python3", "-c", TRIES])

    assert ran.text().startswith("[]"), (ran.text(), ran.text("stderr"))
    assert run(sandbox, "echo still here").text() == "still here\n", "the daemon was killed"


def test_a_workspace_is_saved_and_brought_back_into_another_container(
    provider: DockerProvider, session_id: UUID, tmp_path: Path
) -> None:
    sandbox = provider.obtain(session_id, 1, SPEC)
    repository = Repository(tmp_path / "snapshots.git")
    made = run(
        sandbox, "git init -q . && mkdir src && echo 1 > src/file && chmod 755 src/file && git add . && git status"
    )
    assert "new file:   src/file" in made.text()
    with repository.locked():
        saved = save(sandbox, repository, "turn", Limits(10_000_000, 10_000_000))
        provider.destroy(session_id)
        again = provider.obtain(session_id, 2, SPEC)
        restore(again, repository, saved.commit)

    assert run(again, "cat src/file; stat -c %a src/file").text() == "1\n755\n"


WORKER = """
import sys, types
from uuid import UUID
sys.modules["actors"] = types.ModuleType("actors")  # which would take seconds to import
sys.modules["actors"].__path__ = ["actors"]
from actors.coding.sandbox.base import Spec
from actors.coding.sandbox.docker.provider import DockerProvider

provider = DockerProvider(image=sys.argv[1], installation="tests")
sandbox = provider.obtain(UUID(sys.argv[2]), 1, Spec(memory_mb=512, processes=64, file_mb=10))
show = lambda stream, data: print(data.decode(), end="", flush=True)
sandbox.run("call", ["sh", "-c", sys.argv[3]], show, seconds=60)
"""


def test_nothing_goes_on_after_the_worker_was_killed(provider: DockerProvider, session_id: UUID) -> None:
    sleep = marked_sleep()
    script = f"trap '' TERM HUP; setsid {sleep} & echo began; {sleep}; {sleep}"
    worker = _worker(session_id, script)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "began\n"
    eventually(lambda: alive(sleep) == 2)

    worker.kill()

    eventually(lambda: not alive(sleep), seconds=30, what="the end of the commands")  # 0.3 s on a quiet machine
    worker.communicate()
    sandbox = provider.obtain(session_id, 2, SPEC)
    assert not sandbox.has("call"), "nobody knows what it has done"


def _worker(session_id: UUID, script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, docker_engine.IMAGE, str(session_id), script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[6],
    )
