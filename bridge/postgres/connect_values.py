"""Values of options in an address of Postgres that no connection could use, found before there is one.

libpq refuses them at each connection, by a text as for a server that does not answer: so they would be waited for.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from psycopg import pq
from psycopg.conninfo import make_conninfo

from bridge.postgres.connect_errors import problem_of

# libpq reads these only once a link over TCP is open.
_NUMBERS = ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
_NUMBER_BELOW = 2**31  # an int of C
_NO_SOCKET = "/nowhere/mobvibe"  # a folder that is not there: libpq reads the options, and then cannot connect


def unusable(options: Mapping[str, Any]) -> str | None:
    """What is wrong with a value among the `options` of the driver, in one line; None if libpq can use them.

    Opens no connection. What has an advice of its own is left to the connection.
    """
    for name in _NUMBERS:
        if not _is_number(str(options.get(name, "0"))):
            return f"{name} must be a whole number"
    try:
        float(options.get("connect_timeout") or 0)  # which is the driver's, and not libpq's
    except ValueError:
        return "connect_timeout must be a number of seconds"
    hosts, addresses = _listed(options, "host"), _listed(options, "hostaddr")
    if not all(map(_is_ip_address, addresses)) or (hosts and addresses and len(hosts) != len(addresses)):
        return "hostaddr must be an IP address for each host"
    return _refusal_of_libpq(options, max(1, len(hosts), len(addresses)))


def _is_number(value: str) -> bool:
    return not value or (re.fullmatch(r"\s*[+-]?[0-9]{1,10}\s*", value) is not None and abs(int(value)) < _NUMBER_BELOW)


def _listed(options: Mapping[str, Any], name: str) -> list[str]:
    value = options.get(name)
    return str(value).split(",") if value else []


def _is_ip_address(text: str) -> bool:
    try:
        ip_address(text or "::")  # empty: the host's name is looked up
    except ValueError:
        return False
    return True


def _refusal_of_libpq(options: Mapping[str, Any], hosts: int) -> str | None:
    # Not left out: PGHOSTADDR, or a service, would then say where to connect, and libpq would complain of a file of
    # passwords that others may read, which it does once more for the connection.
    nowhere = {"host": ",".join([_NO_SOCKET] * hosts), "hostaddr": "", "passfile": _NO_SOCKET}
    if options.get("gssencmode") in {None, "require"}:  # no socket fulfils it; None: PGGSSENCMODE may ask for it
        nowhere["gssencmode"] = "disable"
    link = pq.PGconn.connect_start(make_conninfo(**{**options, **nowhere}).encode())
    try:
        text = link.error_message.decode("utf-8", "replace").strip()
    finally:
        link.finish()
    if not text or _NO_SOCKET in text or problem_of(text):
        return None
    return text.splitlines()[0]
