"""Finds the server that takes our writes: Sentinels name it, and a node of a cluster refers us to it."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import redis
from redis import exceptions as theirs

from bridge.errors import RedisAccessError, RedisUnavailableError, RedisUnfitError
from bridge.transport.errors import translated

logger = logging.getLogger(__name__)

Address: TypeAlias = tuple[str, int]
Ask = Callable[["redis.Redis"], Address]


class Discovery:
    """Of one client, for all its connections. Each asks where the primary is, every time that it connects.

    `generation` grows when the primary has changed, or was none: connections of an older one are not used again.
    `failovers` counts the changes after the first answer.
    """

    def __init__(self, kind: str, seeds: Sequence["redis.Redis"], ask: Ask) -> None:
        self.kind = kind
        self.generation = self.failovers = 0
        self.address: Address | None = None
        self._seeds = list(seeds)
        self._ask = ask
        self._lock = threading.Lock()

    def primary(self) -> tuple[int, Address]:
        """The generation, and the address of the primary. Raises RedisUnavailableError when no seed tells it."""
        address = self._find()
        with self._lock:
            if address != self.address:
                self._changed(self.address, address)
            return self.generation, address

    def look(self) -> None:
        """Ask for the primary though no connection needs it. Without an answer, what is connected stays in use."""
        with suppress(RedisUnavailableError):
            self.primary()

    def distrust(self) -> None:
        """The server that was named takes no writes: leave it, and ask another seed first, for this one may be late."""
        with self._lock:
            self.generation += 1
            self._seeds.append(self._seeds.pop(0))

    def _changed(self, before: Address | None, address: Address) -> None:
        self.address = address
        self.generation += 1
        if before is not None:
            self.failovers += 1
            places = {"from": "{}:{}".format(*before), "to": "{}:{}".format(*address)}
            logger.warning("Redis has another primary", extra=places)

    def _find(self) -> Address:
        failures: list[tuple[str, RedisUnavailableError]] = []
        for seed in list(self._seeds):
            try:
                address = self._ask(seed)
            except theirs.RedisError as error:
                failures.append((_place(seed), translated(error)))
            except RedisUnavailableError as error:
                failures.append((_place(seed), error))
            else:
                with self._lock:  # the next search begins with this one
                    self._seeds.sort(key=lambda one: one is not seed)
                return address
        raise _none_tells(self.kind, failures)


def _place(seed: "redis.Redis") -> str:
    options: dict[str, Any] = seed.connection_pool.connection_kwargs
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def _none_tells(kind: str, failures: Sequence[tuple[str, RedisUnavailableError]]) -> RedisUnavailableError:
    """One error for all seeds. It is one that waiting does not help only if waiting helps with none of them."""
    worst = next((error for _, error in failures if error.waiting_helps), failures[0][1])
    texts = dict.fromkeys(f"{place}: {error}" for place, error in failures)
    who = "no Sentinel names the primary" if kind == "sentinel" else "no node of the cluster leads to our keys"
    return type(worst)(f"{who} ({'; '.join(texts)})")


def ask_sentinel(service: str) -> Ask:
    def ask(sentinel: "redis.Redis") -> Address:
        try:
            known: Any = sentinel.sentinel_masters()
        except theirs.RedisError as error:
            raise _of_sentinel(error) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # of the driver, which expects no other
            raise RedisUnavailableError("it does not answer as a Sentinel") from error
        state = known.get(service)
        if state is None:
            names = ", ".join(sorted(known)) or "none"
            raise RedisUnfitError(f"it watches no primary named {service!r}, but {names}: correct the name")
        if not state["is_master"] or state["is_sdown"] or state["is_odown"]:
            raise RedisUnavailableError(f"it sees the primary down, {state['ip']}:{state['port']}")
        return str(state["ip"]), int(state["port"])

    return ask


def _of_sentinel(error: theirs.RedisError) -> RedisUnavailableError:
    ours = translated(error)
    if "unknown command" in str(error):
        return RedisUnfitError("it is no Sentinel: write redis:// for a single server")
    if isinstance(ours, RedisAccessError):
        return RedisAccessError(
            f"it refuses us, {error}: Sentinels have a login of their own, in options at the end of REDIS_URL, "
            "?sentinel_username=…&sentinel_password=…, and its user needs +sentinel|masters"
        )
    return ours


def ask_node(key: str) -> Ask:
    """Reads a key of ours, so no other right is needed than for our other commands."""

    def ask(node: "redis.Redis") -> Address:
        options: dict[str, Any] = node.connection_pool.connection_kwargs
        here = str(options.get("host", "localhost")), int(options.get("port", 6379))
        try:
            node.get(key)
        except theirs.AskError as error:
            if isinstance(error, theirs.MovedError):
                return error.host or here[0], error.port
        except theirs.ResponseError as error:
            if "WRONGTYPE" not in str(error):  # reported by those who need the key
                raise
        return here

    return ask
