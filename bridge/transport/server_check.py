"""Whether the server at REDIS_URL can serve us: checked when a process starts, and by `mobvibe doctor`."""

import re
from typing import Any

from bridge.errors import RedisAccessError, RedisUnavailableError, RedisUnfitError
from bridge.transport.client import Client, check_redis, discovery_of, translate_redis_errors
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.errors import CLUSTER
from bridge.transport.languages import other_language
from bridge.transport.rights import check_rights, rule_for

_OLDEST = (6, 2)  # the first that knows channels in ACL rules, which `rule_for` prints


def check_usable(client: Client, namespace: str, mark: DatabaseMark) -> None:
    """Refuse a Redis that cannot serve us, in one line: unreachable, not Redis, rights missing, another database's."""
    check_server(client)
    try:
        check_rights(client, namespace)
    except RedisAccessError as error:
        if "ACL SETUSER" in str(error) or "rights" not in str(error):
            raise
        raise RedisAccessError(f"{error}, or paste into redis-cli: {rule_for(client, namespace)}") from error
    mark.take()


def check_server(client: Client) -> dict[str, Any]:
    """The server's INFO, empty when our user may not ask. Raises RedisUnavailableError when it cannot serve us."""
    try:
        check_redis(client)
    except RedisUnavailableError as error:
        if error.waiting_helps and (language := other_language(client)):
            raise RedisUnfitError(language) from error
        raise
    info = _facts(client)
    _check_mode(str(info.get("redis_mode", info.get("server_mode", ""))), client)
    version = re.match(r"(\d+)\.(\d+)", str(info.get("redis_version", "")))
    if version and (int(version[1]), int(version[2])) < _OLDEST:
        raise RedisUnfitError(f"it is Redis {info['redis_version']}: use 6.2 or later, or Valkey")
    if info.get("role") == "slave":
        raise _is_replica(client)
    return info


def _is_replica(client: Client) -> RedisUnavailableError:
    if (discovery := discovery_of(client)) is None:
        return RedisUnavailableError("it is a replica and takes no writes: REDIS_URL needs the primary")
    discovery.distrust()
    return RedisUnavailableError(
        "the primary that was named is a replica and takes no writes: is a failover under way?"
    )


def _check_mode(mode: str, client: Client) -> None:
    discovery = discovery_of(client)
    if mode == "sentinel":
        raise RedisUnfitError(
            "it is a Sentinel, which holds no data: write redis+sentinel://:password@host1:26379,host2:26379/NAME/0 "
            "in REDIS_URL, with the name of the primary: redis-cli -p PORT SENTINEL MASTERS"
        )
    if mode == "cluster" and (discovery is None or discovery.kind != "cluster"):
        raise RedisUnfitError(CLUSTER)
    if mode == "standalone" and discovery is not None and discovery.kind == "cluster":
        raise RedisUnfitError("it is no cluster: write redis:// in REDIS_URL instead of redis+cluster://")


def _facts(client: Client) -> dict[str, Any]:
    try:
        with translate_redis_errors():
            info: Any = client.info()
    except RedisAccessError:
        return {}  # rights are checked by themselves
    except RedisUnfitError as error:
        if "lacks a command" in str(error):
            return {}  # INFO is renamed; the commands we need are checked by themselves
        raise
    return dict(info)
