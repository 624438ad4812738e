"""Whether what answers at REDIS_URL can serve us, asked when a process starts and by the doctor."""

import re
import socket
import ssl
from typing import Any

import redis

from bridge.errors import RedisRefusedError, RedisUnavailableError, RedisUnfitError
from bridge.transport.client import Client, check_redis, in_our_words
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.rights import check_rights, rule_for

_OLDEST = (6, 2)
_LOOK_SECONDS = 2.0
_HANG_UP = ("closed by server", "reset by peer")  # what a server does that expects TLS, and Postgres


def check_road(client: Client, namespace: str, mark: DatabaseMark, text: str) -> None:
    """Refuse a Redis that cannot serve us, in one line: unreachable, no Redis, without rights, another database's."""
    check_server(client)
    try:
        check_rights(client, namespace)
    except RedisRefusedError as error:
        if "ACL SETUSER" in str(error) or "rights" not in str(error):
            raise
        raise RedisRefusedError(f"{error}, or paste into redis-cli: {rule_for(client, namespace)}") from error
    mark.take(text)


def check_server(client: Client) -> dict[str, Any]:
    """What it says of itself, nothing where it may not be asked. Raises RedisUnavailableError when it is no use."""
    try:
        check_redis(client)
    except RedisUnavailableError as error:
        if any(sign in str(error) for sign in _HANG_UP) and _speaks_tls(client):
            raise RedisUnfitError("it speaks TLS on this port: write rediss:// instead of redis://") from error
        if _wants_tls(client) and _speaks_plainly(client):
            raise RedisUnfitError("it speaks no TLS on this port: write redis:// instead of rediss://") from error
        raise
    info = _facts(client)
    mode = str(info.get("redis_mode", info.get("server_mode", "")))
    if mode == "sentinel":
        raise RedisUnfitError(
            "it is a Sentinel, which holds no data: REDIS_URL needs the primary that it watches. "
            "Ask it: redis-cli -p PORT SENTINEL get-master-addr-by-name NAME"
        )
    if mode == "cluster":
        raise RedisUnfitError(
            "it is a node of a Redis Cluster, which is not supported: use a single server or a primary with replicas"
        )
    version = re.match(r"(\d+)\.(\d+)", str(info.get("redis_version", "")))
    if version and (int(version[1]), int(version[2])) < _OLDEST:
        raise RedisUnfitError(f"it is Redis {info['redis_version']}: use 6.2 or later, or Valkey")
    if info.get("role") == "slave":
        raise RedisUnavailableError("it is a replica and takes no writes: REDIS_URL needs the primary")
    return info


def _facts(client: Client) -> dict[str, Any]:
    try:
        with in_our_words():
            info: Any = client.info()
    except RedisRefusedError:
        return {}  # a matter of rights, which are tried by themselves
    return dict(info)


def _wants_tls(client: Client) -> bool:
    return issubclass(client.connection_pool.connection_class, redis.SSLConnection)


def _address(client: Client) -> tuple[str, int] | None:
    options: dict[str, Any] = client.connection_pool.connection_kwargs
    return (str(options["host"]), int(options.get("port", 6379))) if "host" in options else None


def _speaks_tls(client: Client) -> bool:
    address = _address(client)
    if address is None or _wants_tls(client):
        return False
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # asked for its language alone, told nothing
    try:
        with socket.create_connection(address, _LOOK_SECONDS) as plain, context.wrap_socket(plain) as wrapped:
            return _answers(wrapped)
    except ssl.SSLError as error:
        return "CERTIFICATE_REQUIRED" in str(error)
    except OSError:
        return False


def _speaks_plainly(client: Client) -> bool:
    address = _address(client)
    try:
        if address is None:
            return False
        with socket.create_connection(address, _LOOK_SECONDS) as plain:
            return _answers(plain)
    except OSError:
        return False


def _answers(link: socket.socket) -> bool:
    link.sendall(b"PING\r\n")
    return link.recv(1) in (b"+", b"-")  # a PONG, or the wish for a password
