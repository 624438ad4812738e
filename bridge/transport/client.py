"""The Redis client, with our timeouts, our errors and our scripts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from bridge.errors import NamespaceTakenError, RedisUnavailableError, SettingsError
from bridge.runtime.watchdog import WATCHDOG
from bridge.settings.redis_address import RedisAddress, check_files, parse_redis_address
from bridge.transport.discovered_connection import DiscoveredConnection, DiscoveredTlsConnection
from bridge.transport.discovery import Discovery, ask_node, ask_sentinel
from bridge.transport.errors import translated
from bridge.transport.names import Names

Client = redis.Redis
Script = Callable[..., Any]

_OTHER_DATABASE = "OTHERDB "


# A Redis that forks, or runs another client's slow command, answers late: only after five seconds it counts as absent.
_TIMEOUT_SECONDS = 5.0
CHECK_SECONDS = 3.0  # for a check that a start or a person waits for: a server that works answers much sooner
_SEED_SECONDS = 1.0  # a Sentinel answers at once: one that does not must not delay the way to the next for long
_IDLE_SECONDS = 30  # after that a PING is sent first: firewalls and proxies drop idle connections silently


def connect_redis(url: str, *, namespace: str = "mobvibe", timeout_seconds: float = _TIMEOUT_SECONDS) -> Client:
    """A client that does not connect yet, and never repeats a command by itself.

    The driver's own retries would repeat a command whose outcome is unknown. Only the caller knows whether that is
    safe, so the caller decides. In a cluster, it serves the keys of `namespace` only. Raises SettingsError for a URL
    that cannot be used.
    """
    try:
        address = parse_redis_address(url)
        check_files(address)
        if address.kind == "server":
            return redis.Redis.from_url(url, **_options(url, timeout_seconds))
        return _of_a_primary(address, namespace, timeout_seconds)
    except ValueError as error:
        raise SettingsError(f"REDIS_URL {error}") from None


def _of_a_primary(address: RedisAddress, namespace: str, timeout_seconds: float) -> Client:
    ask = ask_sentinel(address.service) if address.kind == "sentinel" else ask_node(Names(namespace).owner)
    seed_seconds = min(timeout_seconds, _SEED_SECONDS)
    seeds = [redis.Redis.from_url(seed, **_options(seed, seed_seconds)) for seed in address.seeds]
    options = parse_url(address.url)
    kind = DiscoveredTlsConnection if options.pop("connection_class", None) else DiscoveredConnection
    del options["host"], options["port"]
    discovery = Discovery(address.kind, seeds, ask)
    pool = redis.ConnectionPool(kind, discovery=discovery, **(_options(address.url, timeout_seconds) | options))
    return redis.Redis.from_pool(pool)


def _options(url: str, timeout_seconds: float) -> dict[str, Any]:
    # A Unix socket has neither option.
    network = {} if url.startswith("unix:") else {"socket_connect_timeout": timeout_seconds, "socket_keepalive": True}
    # Where no certificate is verified, a name cannot be: older drivers need to be told.
    unverified = {"ssl_check_hostname": False} if "ssl_cert_reqs=none" in url else {}
    # For an encrypted key without ssl_password OpenSSL would ask on the terminal, and wait.
    key = {"ssl_password": ""} if url.startswith("rediss:") else {}
    return (
        network
        | unverified
        | key
        | {
            "socket_timeout": timeout_seconds,
            "health_check_interval": _IDLE_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            "redis_connect_func": _begin,
        }
    )


def discovery_of(client: Client) -> Discovery | None:
    """What finds the primary for this client; None for a single server."""
    found: Discovery | None = client.connection_pool.connection_kwargs.get("discovery")
    return found


def _begin(connection: Any) -> None:
    """What the driver does on connect, and a name in CLIENT LIST where our user may set one."""
    connection.on_connect()
    with suppress(redis.ResponseError):
        connection.send_command("CLIENT", "SETNAME", "mobvibe", check_health=False)
        connection.read_response()


@contextmanager
def translate_redis_errors() -> Iterator[None]:
    """Raise a RedisUnavailableError, or a subclass of it, for each error of the driver: see errors.py."""
    WATCHDOG.turn()
    try:
        yield
    except redis.RedisError as error:
        text = str(error)
        if text.startswith(_OTHER_DATABASE):
            raise NamespaceTakenError(text.removeprefix(_OTHER_DATABASE)) from error
        raise translated(error) from error


def check_redis(client: Client) -> None:
    """Raise RedisUnavailableError unless Redis answers."""
    try:
        with translate_redis_errors():
            client.ping()
    except RedisUnavailableError as error:
        if "closed by server" in str(error):  # by Postgres, or by a Redis that expects TLS
            raise RedisUnavailableError(f"{error} Is it Redis, and does it want TLS (rediss://)?") from error
        raise


def memory_policy(client: Client) -> str | None:
    """What Redis does when its memory is full; None when our user may not ask."""
    try:
        with translate_redis_errors():
            answer: Any = client.config_get("maxmemory-policy")
        return str(answer["maxmemory-policy"])
    except (RedisUnavailableError, KeyError):
        return None


def load_script(client: Client, name: str) -> Script:
    """The script `lua/<name>.lua`, preceded by `_ours.lua`, ready to call with keys and args."""
    folder = resources.files("bridge.transport").joinpath("lua")
    parts = [folder.joinpath(f"{part}.lua").read_text("utf-8") for part in ("_ours", name)]
    script: Script = client.register_script("\n".join(parts))
    return script
