"""The doctor's checks of Redis: can it serve us, has our user the rights, and who else uses the namespace."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.addresses import in_an_address
from bridge.cli.finding import STATEMENT_TIMEOUT_MS, Finding
from bridge.errors import BridgeError, NamespaceTakenError, RedisUnavailableError, SettingsError
from bridge.postgres.link import Link
from bridge.postgres.startup_checks import mark_of_database
from bridge.settings import Settings
from bridge.settings.redis_address import RedisAddress, parse_redis_address
from bridge.transport.client import CHECK_SECONDS, Client, connect_redis, discovery_of, memory_policy
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.names import names_of
from bridge.transport.namespace_users import foreign_messages, foreign_processes, our_workers
from bridge.transport.rights import RENAMED, Lacking, lacking, rule_for
from bridge.transport.server_check import check_server
from bridge.transport.wrong_keys import in_a_line, keys_of, namespace_keys, way_out, wrong_keys


@dataclass(frozen=True, slots=True)
class _Ours:
    """What Postgres knows about our use of Redis; empty when Postgres does not answer."""

    mark: str = ""
    queues: Sequence[str] = ()


def examine_redis(settings: Settings) -> Iterator[Finding]:
    namespace = settings.redis_namespace
    try:
        address = parse_redis_address(settings.redis_address())
    except BridgeError:
        return
    try:
        client = connect_redis(settings.redis_address(), namespace=namespace, timeout_seconds=CHECK_SECONDS)
    except SettingsError as error:
        yield Finding("redis", "fail", str(error), "correct REDIS_URL")
        return
    where = address.where
    try:
        began = time.monotonic()
        info = check_server(client)
        took = (time.monotonic() - began) * 1000
    except RedisUnavailableError as error:
        fix = "check REDIS_URL, the server and the way to it"
        yield Finding("redis", "fail", f"{where}: {error}", rule_for(client, namespace) if _of_rights(error) else fix)
        return
    yield Finding("redis", "ok", f"{_kind(info)} answers at {_place(client, where)} in {took:.0f} ms")
    yield Finding("redis", "ok", f"the connection is of the kind: {address.road}")
    if not info:
        fix = "make sure that it is 6.2 or later and a single primary, or allow INFO"
        yield Finding("redis", "warn", "its version and role may not be asked for (INFO)", fix)
    yield from _password(address)
    yield _policy(client)
    yield from _namespace(client, settings, _ours(settings))
    client.close()


def _of_rights(error: RedisUnavailableError) -> bool:
    return "lacks rights" in str(error)


def _kind(info: dict[str, Any]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}" if "redis_version" in info else "Redis"


def _place(client: Client, where: str) -> str:
    discovery = discovery_of(client)
    if discovery is None or discovery.address is None:
        return where
    host, port = discovery.address
    return f"{in_an_address(host)}:{port}, the primary of {where},"


def _password(address: RedisAddress) -> Iterator[Finding]:
    if not address.has_password and not address.is_on_this_machine:
        fix = "set requirepass or an ACL user"
        yield Finding("redis", "warn", "no password on an address outside this machine", fix)


def _policy(client: Client) -> Finding:
    policy = memory_policy(client)
    if policy is None:
        return Finding("redis", "warn", "its memory policy may not be asked for", "make sure it is noeviction")
    if policy != "noeviction":
        fix = "set it to noeviction: eviction drops messages"
        return Finding("redis", "warn", f"maxmemory-policy is {policy}", fix)
    return Finding("redis", "ok", "maxmemory-policy noeviction")


def _ours(settings: Settings) -> _Ours:
    link = None
    try:
        dsn = settings.postgres_dsn()
        link = Link(dsn, "doctor", statement_timeout_ms=STATEMENT_TIMEOUT_MS)
        queues = {queue for row in link.call("list_workers") if row["live"] for queue in row["queues"]}
        queues |= {row["queue"] for row in link.call("queue_counts")}
        return _Ours(mark_of_database(dsn), sorted(queues))
    except BridgeError:
        return _Ours()  # the checks of Postgres report the error
    finally:
        if link is not None:
            link.close()


def _namespace(client: Client, settings: Settings, ours: _Ours) -> Iterator[Finding]:
    namespace = settings.redis_namespace
    try:
        missing = lacking(client, namespace)
        yield from _rights(client, namespace, missing)
        if missing.rights or missing.needed:
            return
        wrong = _wrong_keys(client, namespace, ours.queues)
        if wrong:
            yield Finding("redis keys", "fail", in_a_line(wrong), way_out(wrong))
            return
        yield _mark(client, namespace, ours.mark)
        yield from _others(client, namespace, ours.queues)
    except RedisUnavailableError as error:
        yield Finding("redis", "fail", str(error), "see above")


def _wrong_keys(client: Client, namespace: str, queues: Sequence[str]) -> dict[str, str]:
    names = names_of(client, namespace)
    wrong = wrong_keys(client, namespace_keys(names))
    workers = [] if names.heartbeats in wrong else our_workers(client, namespace)
    for queue in queues:
        wrong |= wrong_keys(client, keys_of(names, queue) | {names.held(worker, queue): "set" for worker in workers})
    return wrong


def _rights(client: Client, namespace: str, missing: Lacking) -> Iterator[Finding]:
    if missing.needed:
        yield Finding("redis rights", "fail", f"the server does not know {missing.needed}", RENAMED)
    if missing.rights:
        found = f"its user lacks {' '.join(sorted(missing.rights))}"
        yield Finding("redis rights", "fail", found, rule_for(client, namespace))
    if missing.cannot_subscribe:
        found = "the server does not know SUBSCRIBE (wake-ups): queues are polled, jobs start up to a second later"
        yield Finding("redis rights", "warn", found, RENAMED)
    if not (missing.rights or missing.commands):
        yield Finding("redis rights", "ok", f"its user may do what is needed on {namespace}:*")


def _mark(client: Client, namespace: str, text: str) -> Finding:
    try:
        found = DatabaseMark(client, namespace, text).compare()
    except NamespaceTakenError as error:
        what, _, fix = str(error).partition(". ")
        return Finding("redis namespace", "fail", what, fix)
    if not found:
        return Finding("redis namespace", "ok", f"{namespace} has no mark yet: the first bridge or worker sets it")
    whose = "this database" if text else "a database, and Postgres does not say whether it is this one"
    return Finding("redis namespace", "ok", f"{namespace} belongs to {whose}")


def _others(client: Client, namespace: str, queues: Sequence[str]) -> Iterator[Finding]:
    fix = "they are left alone; give the bridge a namespace of its own: REDIS_NAMESPACE=…"
    for queue in queues:
        if waiting := foreign_messages(client, namespace, queue):
            count = f"{waiting.messages}{'' if waiting.is_all else ' or more'}"
            found = f"{count} messages of another application wait in queue {queue!r}"
            yield Finding("redis others", "warn", found, fix)
    if processes := foreign_processes(client, namespace):
        found = f"{processes} other Dramatiq processes, or workers of an older version, use the namespace {namespace!r}"
        yield Finding("redis others", "warn", found, fix)
