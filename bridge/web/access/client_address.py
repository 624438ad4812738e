"""From which address a request comes, where proxies that we trust say it in X-Forwarded-For."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_IPV6_OF_ONE = 64  # bits of an address that a provider gives to one customer, who chooses the others freely
EVERY_PROXY = "*"


class TrustedProxies:
    """`named`: addresses and networks of proxies, with commas between them; `*`: whoever connects to us is one.

    Raises ValueError for anything else.
    """

    def __init__(self, named: str) -> None:
        self._trusts_each_peer = named.strip() == EVERY_PROXY
        texts = [] if self._trusts_each_peer else [text.strip() for text in named.split(",") if text.strip()]
        self._networks = [ip_network(text) for text in texts]

    def client(self, peer: str, forwarded: str | None) -> str:
        """The nearest address that no trusted proxy has; of IPv6 the part that tells customers apart.

        Each proxy appends the address that connects to it, so only the entries of trusted ones can be believed, and the
        list is read from its end.
        """
        nearest, *further = (peer, *reversed((forwarded or "").split(",")))
        found = _address(nearest)
        for hop in further[:1] if self._trusts_each_peer else further:
            before = _address(hop)
            if found is None or before is None or not self._trusts(found):
                break
            found = before
        return peer if found is None else _of_one_customer(found)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return self._trusts_each_peer or any(address in network for network in self._networks)


def _address(hop: str) -> IPv4Address | IPv6Address | None:
    """The address of a hop, which some proxies write with its port; None: it is none."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _of_one_customer(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address) or address.is_loopback:
        return str(address)
    return str(ip_network((address, _IPV6_OF_ONE), strict=False))
