"""The rights that our user in Redis needs: one list, for the ACL rule to paste and for the check of a user.

Each command is tried on a key that holds a plain string, where it changes nothing: a wrong type, or an absent member.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from redis import exceptions as theirs

from bridge.errors import RedisAccessError, RedisUnfitError
from bridge.transport.client import Client, translate_redis_errors

_PROBE = "return redis.call('get', KEYS[1])"

# Command → its arguments after the key; None for one without a key, which is tried by itself.
COMMANDS: dict[str, tuple[str, ...] | None] = {
    "ping": None, "script|load": None, "evalsha": None, "multi": None, "exec": None, "publish": None, "subscribe": None,
    "get": (), "set": ("", "px", "10000"), "del": (), "pexpire": ("10000",),
    "lindex": ("0",), "llen": (), "lpush": ("x",), "lrange": ("0", "0"), "lrem": ("0", "x"), "lset": ("0", "x"),
    "ltrim": ("0", "0"), "rpush": ("x",),
    "hdel": ("x",), "hexists": ("x",), "hget": ("x",), "hlen": (), "hmget": ("x",), "hset": ("x", "x"),
    "hsetnx": ("x", "x"),
    "sadd": ("x",), "scard": (), "smembers": (), "srem": ("x",),
    "zadd": ("1", "x"), "zcard": (), "zrangebyscore": ("0", "0"), "zrem": ("x",),
}  # fmt: skip
# Not needed: a name in the list of clients, a warning about the memory policy, the kind of server, old statistics.
OPTIONAL = ("client|setname", "client|setinfo", "config|get", "info", "xadd")
_USES = {
    "script|load": "every hand-over is a script", "evalsha": "every hand-over is a script",
    "publish": "it wakes the workers",
}  # fmt: skip


@dataclass(slots=True)
class Lacking:
    """`rights` that our user lacks, as in an ACL rule: +zadd, ~mobvibe:*, &mobvibe:*. `commands` that are absent."""

    rights: set[str] = field(default_factory=set)
    commands: set[str] = field(default_factory=set)

    @property
    def cannot_subscribe(self) -> bool:
        """SUBSCRIBE is absent, so there are no wake-ups: queues are polled instead."""
        return "subscribe" in self.commands

    @property
    def needed(self) -> str:
        """The absent commands that we need, and what for."""
        names = sorted(self.commands - {"subscribe"})
        return ", ".join(f"{name.upper().replace('|', ' ')} ({_USES.get(name, 'for queues')})" for name in names)


RENAMED = "take its rename-command out of the server's configuration, or use a server that offers it"


def rule(namespace: str, user: str = "mobvibe", *, selects: bool = False) -> str:
    """The line for redis-cli that makes a user with exactly the rights we need."""
    commands = " ".join(f"+{name}" for name in [*COMMANDS, *OPTIONAL, *(["select"] if selects else [])])
    return (
        f"ACL SETUSER {user} on >PASSWORD resetkeys ~{namespace}:* resetchannels &{namespace}:* nocommands {commands}"
    )


def rule_for(client: Client, namespace: str) -> str:
    options: dict[str, Any] = client.connection_pool.connection_kwargs
    return rule(namespace, str(options.get("username") or "mobvibe"), selects=bool(options.get("db")))


def lacking(client: Client, namespace: str) -> Lacking:
    """What our user may not do, and which commands the server does not have: renamed or switched off."""
    with translate_redis_errors():
        connection: Any = client.connection_pool.get_connection()
        try:
            return _try(connection, namespace)
        finally:
            connection.disconnect()  # it is subscribed, perhaps in a transaction: it must not go back to the pool
            client.connection_pool.release(connection)


def check_rights(client: Client, namespace: str) -> None:
    """Raise RedisUnfitError when a command that we need is absent, and RedisAccessError with the ACL rule to paste
    when our user lacks a right.
    """
    missing = lacking(client, namespace)
    if missing.needed:
        raise RedisUnfitError(f"it does not know {missing.needed}: {RENAMED}")
    if missing.rights:
        raise RedisAccessError(
            f"Its user lacks {' '.join(sorted(missing.rights))}. Paste this into redis-cli, with its password: "
            f"{rule_for(client, namespace)}"
        )


def _try(connection: Any, namespace: str) -> Lacking:
    key = f"{namespace}:__probe__.{uuid4().hex}"
    first = [("set", key, "", "px", "10000")]
    missing = _lacking(connection, first, namespace)
    if missing.rights or missing.commands:
        return missing  # without that key the other commands would change something
    sha = hashlib.sha1(_PROBE.encode(), usedforsecurity=False).hexdigest()
    calls: list[tuple[str, ...]] = [
        ("ping",),
        ("script", "load", _PROBE),
        ("evalsha", sha, "1", key),
        ("publish", key, ""),
    ]
    calls += [(name, key, *args) for name, args in COMMANDS.items() if args is not None and name not in ("set", "del")]
    calls += [("multi",), ("get", key), ("exec",), ("del", key), ("subscribe", key)]
    return _lacking(connection, calls, namespace)


def _lacking(connection: Any, calls: Sequence[tuple[str, ...]], namespace: str) -> Lacking:
    connection.send_packed_command(connection.pack_commands(calls), check_health=False)
    missing = Lacking()
    for name, *_ in calls:
        command = "script|load" if name == "script" else name
        try:
            connection.read_response(push_request=name == "subscribe")
        except theirs.NoPermissionError as error:
            missing.rights.add(_named(str(error), command, namespace))
        except theirs.ResponseError as error:
            if "NOPERM" in str(error):  # an error of EXEC, whose text contains that of the command
                missing.rights.add(_named(str(error), command, namespace))
            if "unknown command" in str(error):
                missing.commands.add(command)
            if isinstance(error, theirs.ReadOnlyError | theirs.OutOfMemoryError):
                raise  # not an error about rights
    return missing


def _named(text: str, command: str, namespace: str) -> str:
    if "channel" in text:
        return f"&{namespace}:*"
    if " key" in text:
        return f"~{namespace}:*"
    return f"+{command}"
