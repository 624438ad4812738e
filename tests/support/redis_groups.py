"""A primary with its replica and three Sentinels, and a cluster: real servers, which a test kills and starts again."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import redis

from bridge.dev.embedded.redis import find_program
from bridge.dev.embedded.server import HOST, ServerProcess, start_on_a_free_port
from tests.support.redis_servers import answers
from tests.support.waiting import eventually

SERVICE = "mymaster"
DOWN_AFTER_MS = 1000  # after that a Sentinel takes a silent server for down; the default is 30 seconds
PASSWORD = "geheim"
_SLOTS = 16384


class Group:
    """Servers by their ports. All have one password."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: dict[int, ServerProcess] = {}
        self._commands: dict[int, list[str | Path]] = {}

    def start(self, name: str, *lines: str, sentinel: bool = False) -> int:
        """Start a server with these lines in its configuration. Returns its port."""
        folder = self._folder / name
        folder.mkdir(parents=True)
        ports: list[int] = []

        def start(port: int) -> None:
            ports.append(port)
            self._start(folder, port, lines, sentinel=sentinel)

        start_on_a_free_port(start)
        return ports[-1]

    def _start(self, folder: Path, port: int, lines: Sequence[str], *, sentinel: bool) -> None:
        config = folder / "redis.conf"
        own = (
            []
            if sentinel
            else ['save ""', "repl-diskless-sync-delay 0", f"requirepass {PASSWORD}", f"masterauth {PASSWORD}"]
        )
        config.write_text("\n".join([f"bind {HOST}", f"port {port}", f"dir {folder}", *own, *lines, ""]))
        self._commands[port] = [find_program(), config, *(["--sentinel"] if sentinel else [])]
        self.start_again(port)

    def start_again(self, port: int) -> None:
        server = ServerProcess("redis", Path(str(self._commands[port][1])).parent, stop_signal=signal.SIGKILL)
        server.start(self._commands[port], lambda: answers(port))
        self._servers[port] = server

    def kill(self, port: int) -> None:
        self._servers.pop(port).stop()

    def signal(self, port: int, number: signal.Signals) -> None:
        os.kill(self._servers[port].pid, number)

    def ask(self, port: int, *command: Any, password: str | None = PASSWORD) -> Any:
        with redis.Redis(HOST, port, password=password, protocol=2) as client:
            return client.execute_command(*command)

    def role(self, port: int) -> str:
        return str(self.ask(port, "ROLE")[0].decode())

    def stop(self) -> None:
        for port in list(self._servers):
            with contextlib.suppress(ProcessLookupError):
                self.signal(port, signal.SIGCONT)
            self.kill(port)


class Watched(Group):
    """One primary, one replica, three Sentinels."""

    def open(
        self, *, down_after_ms: int = DOWN_AFTER_MS, sentinel_lines: tuple[str, ...] = (), password: str | None = None
    ) -> None:
        first = self.start("first")
        second = self.start("second", f"replicaof {HOST} {first}")
        self.servers = [first, second]
        eventually(lambda: self.ask(second, "ROLE")[3] == b"connected", what="the replica")
        lines = (
            f"sentinel monitor {SERVICE} {HOST} {first} 2",
            f"sentinel auth-pass {SERVICE} {PASSWORD}",
            f"sentinel down-after-milliseconds {SERVICE} {down_after_ms}",
            f"sentinel failover-timeout {SERVICE} 10000",
            *sentinel_lines,
        )
        self.sentinels = [self.start(f"sentinel{n}", *lines, sentinel=True) for n in range(3)]
        self._set_periods(password, info=200, publish=100)  # they meet sooner

    def wait_until_they_agree(self, password: str | None = None) -> None:
        """Each Sentinel knows the others and the replica: before that they cannot choose another primary."""

        def agree() -> bool:
            states = [self._state(port, password) for port in self.sentinels]
            return all(state[b"num-other-sentinels"] == b"2" and state[b"num-slaves"] == b"1" for state in states)

        eventually(agree, seconds=30, what="Sentinels that know each other")
        # An old primary is told soon that it is one no longer, and the next one not before all know of it.
        self._set_periods(password, info=200, publish=500)

    def be_as_usual(self) -> None:
        """The default periods, by which an old primary is told after ten seconds that it is one no longer."""
        self._set_periods(None, info=10_000, publish=2000)

    def _set_periods(self, password: str | None, *, info: int, publish: int) -> None:
        for port in self.sentinels:
            periods = ("INFO-PERIOD", info, "PUBLISH-PERIOD", publish)
            self.ask(port, "SENTINEL", "DEBUG", *periods, password=password)

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{port}" for port in self.sentinels)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{SERVICE}/0"

    def primary(self) -> int:
        """The port of the primary that a Sentinel names."""
        return int(self.ask(self.sentinels[0], "SENTINEL", "get-master-addr-by-name", SERVICE, password=None)[1])

    def demote(self) -> None:
        """SENTINEL FAILOVER. A Sentinel that lacks news of the replica refuses: it is asked again."""

        def demoted() -> bool:
            try:
                self.ask(self.sentinels[0], "SENTINEL", "FAILOVER", SERVICE, password=None)
            except redis.ResponseError as error:
                if "NOGOODSLAVE" not in str(error):
                    raise
                return False
            return True

        eventually(demoted, seconds=30, what="a replica that a Sentinel takes for good")

    def wait_for_another_primary(self, than: int) -> float:
        """Returns how long it took, in seconds."""
        began = time.monotonic()
        # Sentinels that were kept from running do nothing for half a minute: they call it tilt.
        eventually(lambda: self.primary() != than, seconds=90, what="a failover")
        return time.monotonic() - began

    def settle(self) -> None:
        """Wait until the old primary is a replica of the new one, and the next failover can begin."""
        eventually(self._is_followed, seconds=90, what="the old primary as a replica")
        eventually(lambda: all(map(self._sees_no_trouble, self.sentinels)), seconds=90, what="content Sentinels")

    def _is_followed(self) -> bool:
        primary = self.primary()  # a busy machine may have made the Sentinels choose once more
        (replica,) = [port for port in self.servers if port != primary]
        role, *master = self.ask(replica, "ROLE")
        return bool(role == b"slave" and master[1:3] == [primary, b"connected"])

    def _sees_no_trouble(self, sentinel: int) -> bool:
        replicas = self.ask(sentinel, "SENTINEL", "REPLICAS", SERVICE, password=None)
        flags = [_pairs(replica)[b"flags"] for replica in replicas]
        return self._state(sentinel, None)[b"flags"] == b"master" and flags == [b"slave"]

    def _state(self, sentinel: int, password: str | None) -> dict[bytes, bytes]:
        return _pairs(self.ask(sentinel, "SENTINEL", "MASTER", SERVICE, password=password))


class Cluster(Group):
    """Three primaries with a third of the slots each, and perhaps a replica of each."""

    def open(self, *, replicas: bool = False) -> None:
        lines = ("cluster-enabled yes", "cluster-node-timeout 1000", "cluster-replica-validity-factor 0")
        self.primaries = [self.start(f"node{n}", *lines) for n in range(3)]
        self.replicas = [self.start(f"replica{n}", *lines) for n in range(3)] if replicas else []
        bounds = [_SLOTS * n // 3 for n in range(4)]
        for n, port in enumerate(self.primaries):
            self.ask(port, "CLUSTER", "ADDSLOTSRANGE", bounds[n], bounds[n + 1] - 1)
            self.ask(port, "CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        ports = [*self.primaries, *self.replicas]
        for here, there in combinations(ports, 2):
            self.ask(here, "CLUSTER", "MEET", HOST, there)
        eventually(lambda: all(len(self.nodes(port)) == len(ports) for port in ports), seconds=30, what="the nodes")
        for port, replica in zip(self.primaries, self.replicas, strict=False):
            self.ask(replica, "CLUSTER", "REPLICATE", self.id_of(port))
        eventually(lambda: all(self._is_ok(port) for port in ports), seconds=30, what="the cluster")
        for replica in self.replicas:
            eventually(partial(self._is_connected, replica), seconds=30, what="a replica")

    @property
    def url(self) -> str:
        return f"redis+cluster://:{PASSWORD}@{','.join(f'{HOST}:{port}' for port in self.primaries)}"

    def nodes(self, port: int) -> list[str]:
        """The lines of CLUSTER NODES of the nodes that are known with an address."""
        answer = self.ask(port, "CLUSTER", "NODES")
        lines = answer.keys() if isinstance(answer, dict) else answer.decode().splitlines()
        return [line for line in lines if "handshake" not in str(answer[line] if isinstance(answer, dict) else line)]

    def owner(self, slot: int) -> int:
        """The port of the primary of a slot."""
        for first, last, (_, port, *_), *_ in self.ask(self.primaries[-1], "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return int(port)
        raise LookupError(slot)

    def slot_of(self, key: str) -> int:
        return int(self.ask(self.primaries[0], "CLUSTER", "KEYSLOT", key))

    def id_of(self, port: int) -> str:
        return str(self.ask(port, "CLUSTER", "MYID").decode())

    def move(self, slot: int, old: int, new: int) -> None:
        """What `redis-cli --cluster reshard` does, after both nodes know of it."""
        keys = self.ask(old, "CLUSTER", "GETKEYSINSLOT", slot, 1000)
        if keys:
            self.ask(old, "MIGRATE", HOST, new, "", 0, 5000, "AUTH", PASSWORD, "KEYS", *keys)
        for port in (new, old, *self.primaries):
            self.ask(port, "CLUSTER", "SETSLOT", slot, "NODE", self.id_of(new))

    def _is_connected(self, replica: int) -> bool:
        return bool(self.ask(replica, "ROLE")[3] == b"connected")

    def _is_ok(self, port: int) -> bool:
        answer = self.ask(port, "CLUSTER", "INFO")
        state = answer.get("cluster_state") if isinstance(answer, dict) else answer.decode()
        return "ok" in str(state).partition("cluster_slots")[0]


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


@contextlib.contextmanager
def watched(folder: Path, *, down_after_ms: int = DOWN_AFTER_MS, agree: bool = True) -> Iterator[Watched]:
    group = Watched(folder)
    try:
        group.open(down_after_ms=down_after_ms)
        if agree:
            group.wait_until_they_agree()
        yield group
    finally:
        group.stop()


@contextlib.contextmanager
def cluster(folder: Path, *, replicas: bool = False) -> Iterator[Cluster]:
    group = Cluster(folder)
    try:
        group.open(replicas=replicas)
        yield group
    finally:
        group.stop()
