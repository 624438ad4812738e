"""REDIS_URL taken apart: one server, the Sentinels that name a primary, or some nodes of a cluster."""

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from bridge.addresses import check_address, host_and_port

Kind = Literal["server", "sentinel", "cluster"]

EXAMPLES = {
    "sentinel": "redis+sentinel://:password@host1:26379,host2:26379/mymaster/0",
    "cluster": "redis+cluster://:password@host1:6379,host2:6379",
    "server": "redis://:password@host:6379/0",
}
_PORTS = {"sentinel": 26379, "cluster": 6379}
_OPTIONS = {"db", "username", "password", "protocol", "max_connections"}
_SENTINEL_OPTIONS = {"sentinel_username", "sentinel_password"}
_TLS_OPTIONS = {
    "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_ciphers",
    "ssl_exclude_verify_flags", "ssl_include_verify_flags", "ssl_keyfile", "ssl_min_version", "ssl_password",
}  # fmt: skip
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CERT_REQS = ("none", "optional", "required")
_TRUE_OR_FALSE = {"1", "t", "true", "y", "yes", "0", "f", "false", "n", "no"}  # the driver takes all else for true
_PROTOCOLS = ("2", "3")
_NUMBER = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """`seeds` are the addresses that are asked where the primary is, none for a single server.

    `url` is the server's. With seeds, its host is of no meaning: it has the user, the password, the database and the
    options for whichever server is the primary.
    """

    kind: Kind
    url: str = field(repr=False)  # these two hold passwords
    seeds: tuple[str, ...] = field(default=(), repr=False)
    service: str = ""  # the name by which Sentinels know the primary

    @property
    def where(self) -> str:
        """For people, without the password."""
        hosts = ",".join(urlsplit(seed).netloc.rpartition("@")[2] for seed in self.seeds)
        match self.kind:
            case "sentinel":
                return f"{self.service!r} of the Sentinels {hosts}"
            case "cluster":
                return f"the cluster of {hosts}"
            case _:
                return host_and_port(self.url, 6379)

    @property
    def is_encrypted(self) -> bool:
        return self.url.startswith("rediss:")

    @property
    def road(self) -> str:
        """The kind of connection: may be shown to anybody."""
        name = {"server": "single server", "sentinel": "Sentinel", "cluster": "Cluster"}[self.kind]
        return f"{name} over TLS" if self.is_encrypted else name

    @property
    def has_password(self) -> bool:
        parts = urlsplit(self.url)
        return bool(parts.password or dict(parse_qsl(parts.query)).get("password"))

    @property
    def is_on_this_machine(self) -> bool:
        """All of it: a primary that Sentinels name may be anywhere."""
        parts = urlsplit(self.url)
        here = parts.scheme == "unix" or (parts.hostname or "localhost") in ("localhost", "127.0.0.1", "::1")
        return here and not self.seeds


def parse_redis_address(address: str) -> RedisAddress:
    """Raises ValueError, which says what is wrong with the address without showing it."""
    scheme = address.partition("://")[0]
    if match := re.fullmatch(r"(rediss?)\+(sentinel|cluster)", scheme):
        kind: Kind = "sentinel" if match[2] == "sentinel" else "cluster"
        return _with_seeds(address, match[1], kind)
    check_address(address, ("redis", "rediss", "unix"), EXAMPLES["server"])
    _check_details(address)
    return RedisAddress("server", address)


def _with_seeds(address: str, scheme: str, kind: Kind) -> RedisAddress:
    example, (where, _, query) = EXAMPLES[kind], address.partition("://")[2].partition("?")
    login, at, rest = where.rpartition("@")
    hosts, _, path = rest.partition("/")
    if "@" in query or "/" in login or "#" in address:
        raise ValueError("cannot be read; if its password holds one of @ : / ? # %, write that as a percent code")
    service, database = _path(path.strip("/"), kind, example)
    options = parse_qsl(query, keep_blank_values=True)
    own = _SENTINEL_OPTIONS if kind == "sentinel" else set()
    of_servers = urlencode([option for option in options if option[0] not in own])
    tail = f"/{database}" + (f"?{of_servers}" if of_servers else "")
    urls = [f"{scheme}://{login}{at}{_with_port(host, kind, example)}{tail}" for host in hosts.split(",")]
    for url in urls:
        check_address(url, ("redis", "rediss"), example)
        _check_details(url)
    if kind == "cluster":
        _path(dict(options).get("db", ""), kind, example)
        return RedisAddress(kind, urls[0], tuple(urls))
    return RedisAddress(kind, urls[0], tuple(_of_sentinel(url, dict(options)) for url in urls), service)


def _path(path: str, kind: Kind, example: str) -> tuple[str, str]:
    """The name of the primary, and the number of the database."""
    if kind == "cluster":
        if path not in ("", "0"):
            raise ValueError(f"names a database, and a cluster has only 0; expected {example}")
        return "", "0"
    service, _, database = path.partition("/")
    if not service or not _NUMBER.fullmatch(database or "0"):
        raise ValueError(f"does not say which primary, or the database is not a number; expected {example}")
    return unquote(service), database or "0"


def _with_port(host: str, kind: Kind, example: str) -> str:
    if not host:
        raise ValueError(f"names no host between two commas; expected {example}")
    return host if re.search(r":\d+$", host) else f"{host}:{_PORTS[kind]}"


def _of_sentinel(url: str, options: dict[str, str]) -> str:
    """The address of a Sentinel, which has a user and a password of its own, or none."""
    parts = urlsplit(url)
    user, password = (quote(options.get(name, ""), safe="") for name in ("sentinel_username", "sentinel_password"))
    login = f"{user}:{password}@" if user or password else ""
    tls = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name in _TLS_OPTIONS])
    return f"{parts.scheme}://{login}{parts.netloc.rpartition('@')[2]}" + (f"?{tls}" if tls else "")


def _check_details(address: str) -> None:
    """Raise ValueError for a mistake that the driver ignores, or reports only at its first command."""
    parts = urlsplit(address)
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not _NUMBER.fullmatch(database):
        raise ValueError(f"names a database that is not a number; expected {EXAMPLES['server']}")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in _SENTINEL_OPTIONS:
            raise ValueError(f"has the option {name!r}, which only Sentinels need; expected {EXAMPLES['sentinel']}")
        if name not in _OPTIONS | _TLS_OPTIONS:
            raise ValueError(f"has the option {name[:40]!r}, which is not known here: leave it out")
        if name in _TLS_OPTIONS and parts.scheme != "rediss":
            raise ValueError(f"has the option {name!r}, which is for TLS: write rediss:// instead of redis://")
        if name == "ssl_cert_reqs" and value not in _CERT_REQS:
            raise ValueError(f"has another ssl_cert_reqs than one of {', '.join(_CERT_REQS)}")
        if name == "ssl_check_hostname" and value.lower() not in _TRUE_OR_FALSE:
            raise ValueError("has another ssl_check_hostname than true or false")
        if name == "db" and not _NUMBER.fullmatch(value):
            raise ValueError("names a database that is not a number; expected db=0")
        if name == "protocol" and value not in _PROTOCOLS:
            raise ValueError(f"has another protocol than one of {', '.join(_PROTOCOLS)}")


def check_files(address: RedisAddress) -> None:
    """Raise ValueError, which names the option, for a file or folder of certificates or keys that cannot be read."""
    options = parse_qsl(urlsplit(address.url).query)
    for name, value in options:
        if name in _TLS_FILES:
            try:
                Path(value).read_bytes()
            except OSError as error:
                raise ValueError(f"names a file that cannot be read, {name}={value}: {error.strerror}") from None
        if name == "ssl_ca_path":  # OpenSSL takes one that is not there for one without certificates
            try:
                next(Path(value).iterdir(), None)
            except OSError as error:
                raise ValueError(f"names a folder that cannot be read, {name}={value}: {error.strerror}") from None
    _check_tls(dict(options))


def _check_tls(options: dict[str, str]) -> None:
    """Raise ValueError for an option that the driver tries at each connection only, with an error that says little."""
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("has ssl_keyfile without ssl_certfile: name the certificate, too")
    tries = {
        "ssl_min_version": (_set_lowest, "is 771 for TLS 1.2 and 772 for TLS 1.3"),
        "ssl_ciphers": (ssl.SSLContext.set_ciphers, "names no cipher that OpenSSL has here"),
        "ssl_ca_data": (_take_authorities, "is to be the text of a certificate (PEM), percent-encoded"),
    }
    for name, (take, meaning) in tries.items():
        if name not in options:
            continue
        try:
            take(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), options[name])
        except (OSError, OverflowError, TypeError, ValueError):
            raise ValueError(f"has a value of {name} that cannot be used: it {meaning}") from None


def _set_lowest(context: ssl.SSLContext, version: str) -> None:
    context.minimum_version = ssl.TLSVersion(int(version))


def _take_authorities(context: ssl.SSLContext, data: str) -> None:
    context.load_verify_locations(cadata=data)


def shares_a_slot(namespace: str) -> bool:
    """Whether a cluster keeps all keys of this namespace on one node: it has a hash tag, such as {mobvibe}."""
    _, opening, rest = namespace.partition("{")
    tag, closing, _ = rest.partition("}")
    return bool(opening and closing and tag)
