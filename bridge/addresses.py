"""Addresses of stores: checks them, and formats them for display without the password."""

import re
from urllib.parse import parse_qsl, unquote, urlsplit

_PERCENT_ENCODE = "if its password holds one of @ : / ? # %, write that as a percent code (@ is %40)"
# Does not match when the password holds an unencoded @, / or ?: that needs the message about percent codes instead.
_SEVERAL_PORTS = re.compile(
    r"[a-z]+://(?:[^@/?#]*@)?(?=[^@/?#]*:\d)[^@/?#:,]+(?::\d+)?(?:,[^@/?#:,]+(?::\d+)?)+(?:[/?][^@]*)?$"
)
# Groups: what stands for hosts and ports; the options. Does not match for such a password, either.
_HOSTS = re.compile(r"[a-z]+://(?:[^/?#]*@)?([^@/?#]*)(?:/[^@?#]*)?(?:\?([^@=#]*(?:=[^#]*)?))?")
# Parts of names: those of Redis end with password, Postgres has oauth_client_secret and scram_client_key, too.
_SECRET_OPTIONS = ("password", "secret", "scram")
_KINDS = {
    "postgres": "a Postgres address",
    "postgresql": "a Postgres address",
    "redis": "a Redis address",
    "rediss": "a Redis address",
    "http": "a web address",
    "https": "a web address",
}


def check_address(address: str, schemes: tuple[str, ...], example: str) -> None:
    """Raise ValueError, which says what is wrong with a store's address without showing the address."""
    scheme, separator, _ = address.partition("://")
    if not separator:
        is_dsn = re.search(r"(?:^|\s)(?:host|dbname|service)\s*=", address) and "postgresql" in schemes
        kind = "not a URL but key=value, which is not read" if is_dsn else "not a valid URL"
        raise ValueError(f"is {kind}; expected {example}")
    if scheme not in schemes:
        kind = f" (that is {_KINDS[scheme]})" if scheme in _KINDS else ""
        raise ValueError(f"begins with {scheme[:20]}://{kind}; it must begin with {schemes[0]}://")
    if scheme == "unix":
        _check_socket(address)
        return
    if _SEVERAL_PORTS.match(address):
        raise ValueError(f"names several hosts with ports, which is not read: name one host; expected {example}")
    _check_blanks(address, example)
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise ValueError(f"cannot be read; {_PERCENT_ENCODE}") from None
    stray_percent = re.search(r"%(?![0-9A-Fa-f]{2})", parts.password or "")
    # An unencoded / or ? in the password ends the host part early, and leaves the @ behind it.
    is_cut_short = "@" in parts.path + parts.query.partition("=")[0]
    if parts.netloc.count("@") > 1 or is_cut_short or stray_percent or "#" in address:
        raise ValueError(f"cannot be read; {_PERCENT_ENCODE}")
    if port == 0:
        raise ValueError("names port 0")
    if not parts.hostname and "host=" not in parts.query:
        raise ValueError(f"names no host; expected {example}")
    if not all(map(may_be_host, unquote(parts.hostname or "").split(","))):
        raise ValueError(
            f"names a host that cannot exist: a part between two dots is empty or too long; {_PERCENT_ENCODE}"
        )


def _check_blanks(address: str, example: str) -> None:
    """By the hosts as they are written: urlsplit leaves tabs and line ends out, and drivers need not."""
    match = _HOSTS.fullmatch(address.rstrip("\r\n"))  # what ends a line of a file is in no name
    options = (option.partition("=") for option in (match[2] or "").split("&")) if match else ()
    lists = [match[1] if match else "", *(value for name, _, value in options if name == "host")]
    hosts = [host for hosts in lists for host in unquote(hosts).split(",")]
    if any(re.search(r"\s", host) for host in hosts if not host.startswith("/")):  # paths of sockets may have one
        raise ValueError(f"has a blank in the name of a host: take it out; expected {example}")


def _check_socket(address: str) -> None:
    login = address.partition("://")[2].partition("/")[0].partition("?")[0].partition("#")[0]
    if login and not login.endswith("@"):  # the rest of a password would be taken for the path, and shown
        raise ValueError(f"has more than a user and a password before the path of its socket; {_PERCENT_ENCODE}")


def check_web_address(address: str, example: str) -> None:
    """Raise ValueError, which says what is wrong with an address that we read over HTTP."""
    check_address(address, ("https", "http"), example)
    if not re.fullmatch(r"[!-~]+", address) or "@" in urlsplit(address).netloc:
        raise ValueError(f"holds a name, a password or a character that no web address has; expected {example}")


def may_be_host(name: str) -> bool:
    """Whether `name` has the form of a host name, or is the path of a Unix socket."""
    try:
        if not name.startswith("/"):
            name.encode("idna")
    except UnicodeError:
        return False
    return True


def in_an_address(host: str) -> str:
    """A host as it is written before a port: IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def mask_address(address: str) -> str:
    """The address with *** for its password, safe for logs and screens."""
    # The password first: a ? in it begins no options.
    where, mark, options = re.sub(r"(://[^:@/]*):[^@/]*@", r"\1:***@", address).partition("?")
    return where + mark + "&".join(map(_masked_option, options.split("&")))


def _masked_option(option: str) -> str:
    """Drivers decode names, too: pass%77ord is the option password."""
    name, _, value = option.partition("=")
    return f"{name}=***" if value and any(sign in unquote(name).lower() for sign in _SECRET_OPTIONS) else option


def host_and_port(address: str, default_port: int) -> str:
    """Host and port of an address, such as 127.0.0.1:5432; for a Unix socket, its path."""
    parts = urlsplit(address)
    if not parts.hostname:
        return parts.path or address.partition("?")[0]
    return f"{in_an_address(parts.hostname)}:{parts.port or default_port}"


def host_port_and_name(address: str) -> str:
    """Host, port and database name of a Postgres address, such as 127.0.0.1:5432/mobvibe, and nothing else of it.

    For an address that cannot be parsed, a text that says so: any part of it could be the password.
    """
    try:
        check_address(address, ("postgresql", "postgres"), "")
    except ValueError:
        return f"an address that cannot be read ({_PERCENT_ENCODE})"
    parts, options = urlsplit(address), dict(parse_qsl(urlsplit(address).query))
    host = unquote(parts.hostname or "") or options.get("host", "")
    name = unquote(parts.path.strip("/")) or options.get("dbname", "")
    return f"{in_an_address(host)}:{parts.port or options.get('port', 5432)}/{name}"
