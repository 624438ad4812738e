"""The processes of a deployment, replaced one after the other as a platform does."""

import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bridge.dev.embedded.server import pick_port
from tests.acceptance.processes import Process
from tests.rollout.releases import Release
from tests.support.commands import PLAIN
from tests.support.waiting import eventually

THREADS = 4
_MOST_LOGS = 3000  # characters of a log in an error


@dataclass
class Member:
    """One process of the deployment."""

    role: str
    release: Release
    process: Process


@dataclass
class Fleet:
    """`members` runs; `ended` holds what was replaced, with its exit code."""

    folder: Path
    environment: dict[str, str]
    members: list[Member] = field(default_factory=list)
    ended: list[tuple[Member, int]] = field(default_factory=list)

    def migrate(self, release: Release) -> None:
        """`mobvibe migrate up` of a release. Raises CalledProcessError if it fails."""
        command = [sys.executable, "-m", "bridge", "migrate", "up"]
        environment = PLAIN | self.environment | {"PYTHONPATH": str(release.path)}
        subprocess.run(command, cwd=self.folder, env=environment, check=True, capture_output=True, timeout=120)

    def start(self, role: str, release: Release) -> Member:
        """Start a process of this role, and wait until it is ready."""
        command, is_ready = self._commands()[role]
        port = pick_port()
        log = self.folder / f"{len(self.members) + len(self.ended)}.{role}.{release.version}.log"
        own = {"PYTHONPATH": str(release.path), "HEALTH_CHECK_PORT": str(port)}
        process = Process(command, self.folder, self.environment | own, log)
        member = Member(role, release, process)
        self.members.append(member)
        is_ready(process, port)
        return member

    def replace(self, release: Release, *, each: Callable[[Member], None] = lambda _: None) -> None:
        """Each process by one of another release: the new one is ready before the old one is told to stop."""
        for member in list(self.members):
            self.start(member.role, release)
            self.stop(member)
            each(member)

    def restart(self, member: Member) -> None:
        """As a platform does after a crash: the same release again."""
        member.process.popen.kill()
        member.process.end()
        self.members.remove(member)
        self.start(member.role, member.release)

    def stop(self, member: Member) -> None:
        self.members.remove(member)
        self.ended.append((member, member.process.stop()))

    def troubles(self) -> list[str]:
        """What no process of a rollout should do: an error in its log, a traceback, an end with another code than 0."""
        found = []
        for member, code in self.ended:
            name, output = f"{member.role} of {member.release.version}", member.process.output
            if code:
                found.append(f"{name} ended with {code}")
            if "Traceback" in output:
                found.append(f"{name}: {output.partition('Traceback')[2][:_MOST_LOGS]}")
            found += [f"{name}: {line}" for line in output.splitlines() if re.match(r"[0-9:.]+ (ERROR|FATAL) ", line)]
        return found

    def warnings(self) -> list[str]:
        """What the logs warn of, each once with its first example."""
        seen: dict[tuple[str, str, str], str] = {}
        for member, _ in self.ended:
            for line in member.process.output.splitlines():
                if found := re.match(r"[0-9:.]+ WARN +(.*)", line):
                    seen.setdefault((member.role, member.release.version, found[1][:30]), found[1])
        return [f"{role} of {version}: {line}" for (role, version, _), line in seen.items()]

    def end_all(self) -> None:
        for member in reversed(self.members):
            member.process.end()

    def _commands(self) -> dict[str, tuple[list[str], Callable[[Process, int], None]]]:
        bridge = [sys.executable, "-m", "bridge"]
        return {
            "bridge": ([*bridge, "run"], lambda process, _: process.wait_for("Bridge ready")),
            "worker": ([*bridge, "worker"], lambda process, _: process.wait_for("Worker ready")),
            "web": ([*bridge, "web"], _wait_until_it_answers),
        }


@contextmanager
def open_fleet(folder: Path, dsn: str, redis_url: str) -> Iterator[Fleet]:
    """A deployment with no process yet, in a folder with its actors package."""
    (folder / "actors").mkdir()
    shutil.copy(Path(__file__).with_name("actors.py"), folder / "actors" / "__init__.py")
    environment = {
        "DATABASE_URL": dsn,
        "LEASE_MS": "5000",  # a worker that was killed is missed soon
        "REDIS_URL": redis_url,
        "REDIS_NAMESPACE": "rollout",
        "MOBVIBE_DIR": str(folder / "mobvibe"),
        "MAX_CONCURRENT_JOBS": str(THREADS),
        "ROLLOUT_RUNS": str(folder / "runs"),
    }
    (folder / "runs").touch()
    fleet = Fleet(folder, environment)
    try:
        yield fleet
    finally:
        fleet.end_all()


def _wait_until_it_answers(process: Process, port: int) -> None:
    """As a platform asks before it routes to the new process."""

    def answers() -> bool:
        assert process.popen.poll() is None, process.output[-_MOST_LOGS:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False  # 503 too: a store or the schema is not there yet

    eventually(answers, seconds=60, what=f"an answer of /readyz: {process.log}")
