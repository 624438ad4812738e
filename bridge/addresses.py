"""Store addresses: what is wrong with one, and how to show one without its password."""

import re
from urllib.parse import urlsplit

_PERCENT_ENCODE = "if its password holds one of @ : / ? # %, write that as a percent code (@ is %40)"
_KINDS = {
    "postgres": "a Postgres address",
    "postgresql": "a Postgres address",
    "redis": "a Redis address",
    "rediss": "a Redis address",
    "http": "a web address",
    "https": "a web address",
}


def check_address(address: str, schemes: tuple[str, ...], example: str) -> None:
    """Raise ValueError that says what is wrong with a store's address, without showing it."""
    scheme, separator, _ = address.partition("://")
    if not separator:
        raise ValueError(f"is no address; it looks like {example}")
    if scheme not in schemes:
        kind = f" (that is {_KINDS[scheme]})" if scheme in _KINDS else ""
        raise ValueError(f"begins with {scheme[:20]}://{kind}; it must begin with {schemes[0]}://")
    if scheme == "unix":
        return
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise ValueError(f"cannot be read; {_PERCENT_ENCODE}") from None
    stray_percent = re.search(r"%(?![0-9A-Fa-f]{2})", parts.password or "")
    if parts.netloc.count("@") > 1 or stray_percent or "#" in address:
        raise ValueError(f"cannot be read; {_PERCENT_ENCODE}")
    if port == 0:
        raise ValueError("names port 0")
    if not parts.hostname and "host=" not in parts.query:
        raise ValueError(f"names no host; it looks like {example}")


def mask_address(address: str) -> str:
    """The address with its password starred out, fit for logs and screens."""
    masked = re.sub(r"(://[^:@/]*):[^@/]*@", r"\1:***@", address)
    return re.sub(r"(?i)(password=)[^&\s]+", r"\1***", masked)


def host_and_port(address: str, default_port: int) -> str:
    """Where a store lives, as people say it: 127.0.0.1:5432."""
    parts = urlsplit(address)
    if not parts.hostname:
        return parts.path or address.partition("?")[0]
    return f"{parts.hostname}:{parts.port or default_port}"
