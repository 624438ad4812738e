"""Addresses of repositories that may be cloned: HTTPS to a listed host, whose addresses are public."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from actors.coding.sandbox.daemon.proxy import addresses_of, is_public
from bridge.errors import BridgeError
from bridge.snapshots.origin import OriginError, split_address

HTTPS_PORT = 443  # of an address without one


class CloneError(BridgeError):
    """The repository cannot be cloned. One line says why, and what to do."""


class HostUnavailableError(CloneError):
    """It cannot be cloned now: trying again may help."""


class Address(NamedTuple):
    """`ips`: the only ones that may be connected to."""

    url: str
    host: str
    port: int
    ips: Sequence[str]

    @property
    def authority(self) -> str:
        """As GIT_HOSTS names it: with the port, if it is another than that of HTTPS."""
        return _authority(self.host, self.port)


def checked_address(
    url: str,
    hosts: Collection[str],
    *,
    resolve: Callable[[str, int], Sequence[str]] = addresses_of,
    may_reach: Callable[[str], bool] = is_public,
) -> Address:
    """`hosts`: names, or `name:port`. Raises CloneError, HostUnavailableError."""
    try:
        parts = split_address(url)
    except OriginError as error:
        raise CloneError(f"the repository cannot be cloned: {error}") from None
    host, port = parts.hostname or "", parts.port or HTTPS_PORT
    authority = _authority(host, port)
    if authority not in hosts:
        raise CloneError(f"{authority} is not a host to clone from: GIT_HOSTS has {', '.join(sorted(hosts)) or 'none'}")
    try:
        found = resolve(host, port)
    except OSError as error:
        raise HostUnavailableError(f"{host} has no address ({error.strerror}): try again later") from None
    ips = [ip for ip in found if may_reach(ip)]
    if not ips:
        raise CloneError(f"the addresses of {host} are not public: it cannot be cloned from")
    return Address(f"https://{authority}{parts.path}", host, port, ips)


def _authority(host: str, port: int) -> str:
    return host if port == HTTPS_PORT else f"{host}:{port}"
