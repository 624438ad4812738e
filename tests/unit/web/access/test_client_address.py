"""Only a proxy that is trusted says from where a request comes.

Rows of docs/reference/security.md: S15.
"""

import pytest

from bridge.web.access.client_address import TrustedProxies

ONE, TWO, CLIENT = "10.0.0.1", "10.0.0.2", "198.51.100.7"


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client"),
    [
        ("", CLIENT, None, CLIENT),
        ("", CLIENT, "203.0.113.9", CLIENT),  # anybody can send the header
        (ONE, CLIENT, "203.0.113.9", CLIENT),
        (ONE, ONE, None, ONE),
        (ONE, ONE, "", ONE),
        (ONE, ONE, CLIENT, CLIENT),
        (ONE, ONE, f"203.0.113.9, {CLIENT}", CLIENT),  # what was there before is the client's
        (ONE, ONE, f"{CLIENT}, {TWO}", TWO),
        ("10.0.0.0/8", ONE, f"203.0.113.9,{CLIENT} , {TWO}", CLIENT),
        ("10.0.0.0/8, 127.0.0.1", "127.0.0.1", f"{CLIENT},{TWO},{ONE}", CLIENT),
        ("10.0.0.0/8", ONE, f"{TWO},{ONE}", TWO),
        (ONE, ONE, f"{CLIENT}, unknown", ONE),
        (ONE, ONE, "evil.example", ONE),
        (ONE, ONE, ",,,", ONE),
        (ONE, ONE, f"{CLIENT}:5151", CLIENT),
        (ONE, ONE, "[2001:db8:1:2:3::4]:5151", "2001:db8:1:2::/64"),
        (ONE, ONE, "2001:db8:1:2:ffff::4", "2001:db8:1:2::/64"),
        (ONE, f"::ffff:{ONE}", CLIENT, CLIENT),
        ("::1", "::1", CLIENT, CLIENT),
        ("*", ONE, f"203.0.113.9, {CLIENT}", CLIENT),
        ("*", ONE, f"203.0.113.9, {ONE}", ONE),
        ("*", ONE, None, ONE),
        ("", "", CLIENT, ""),
        ("", "fe80::1%eth0", None, "fe80::/64"),
    ],
)
def test_the_client_is_the_nearest_hop_that_is_not_trusted(
    trusted: str, peer: str, forwarded: str | None, client: str
) -> None:
    assert TrustedProxies(trusted).client(peer, forwarded) == client


@pytest.mark.parametrize("named", ["localhost", "10.0.0.1/8", "10.0.0.0/33", "*,10.0.0.1", "10.0.0.1 10.0.0.2"])
def test_what_names_no_address_is_refused(named: str) -> None:
    with pytest.raises(ValueError, match="."):
        TrustedProxies(named)
