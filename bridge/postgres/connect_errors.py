"""What an operator can do when no connection to Postgres comes about: TLS, and addresses of IPv6."""

import re
from typing import NamedTuple


class Problem(NamedTuple):
    """What to do. `is_tls`: waiting does not help, as somebody must change an address or a certificate."""

    advice: str
    is_tls: bool = True


_ROOT = "sslrootcert must name the certificate of the authority that signed the server's"
_CLIENT = "sslcert and sslkey must name a certificate that the server accepts, and its key, which others may not read"
_NO_IPV6 = (
    "this machine has no way to IPv6 addresses, and Supabase's direct host has no other: "
    "use the session pooler's address (in its dashboard: Connect)"
)
# By the texts of libpq and of the system, as no code comes with them.
_PROBLEMS = (
    (r"certificate verify failed|root certificate file|unknown ca", Problem(_ROOT)),
    (r"does not match host name", Problem("the address must name the host as the server's certificate does")),
    (r"server does not support SSL", Problem("the server has no TLS: turn it on there, or set sslmode=disable")),
    (r"no encryption\b", Problem("the server may want TLS: set sslmode=require")),
    (r"valid client certificate|private key file|could not (?:load|read) (?:private|certificate)", Problem(_CLIENT)),
    (r"invalid sslmode value", Problem("sslmode is one of disable, prefer, require, verify-ca, verify-full")),
    (
        (
            r'at "[^"]*:[^"]*".*(?:Network is unreachable|Cannot assign requested address|Address family not supported)'
            r"|failed to resolve host 'db\.\w+\.supabase\.co'"
        ),
        Problem(_NO_IPV6, is_tls=False),
    ),
)


def problem_of(text: str) -> Problem | None:
    """The problem that the first line of the driver's error means, if it is one of these."""
    return next((problem for pattern, problem in _PROBLEMS if re.search(pattern, text)), None)
