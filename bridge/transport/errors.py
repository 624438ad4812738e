"""Translates the Redis driver's errors into ours, which say what is wrong and what to do about it."""

import re

from redis import exceptions as theirs

from bridge.errors import RedisAccessError, RedisUnavailableError, RedisUnfitError, WrongKeyError

# (part of the driver's text, our message): the first match is used.
_REFUSED = (
    ("NOPERM", "its user lacks rights ({text}). To see the rule it needs: mobvibe doctor"),
    ("no permissions", "its user lacks rights ({text}). To see the rule it needs: mobvibe doctor"),
    ("ACL failure", "its user lacks rights ({text}). To see the rule it needs: mobvibe doctor"),
    ("without any password configured", "REDIS_URL has a password, and the server has none: take it out of REDIS_URL"),
    ("Authentication required", "it wants a password: REDIS_URL=redis://:password@host:6379/0 (or user:password)"),
    ("without prior authentication", "it wants a password: REDIS_URL=redis://:password@host:6379/0"),
    ("HELLO must be called", "it wants a password: REDIS_URL=redis://:password@host:6379/0 (or user:password)"),
    ("invalid username-password", "it does not know this user and password: correct them in REDIS_URL"),
    ("invalid password", "it does not know this password: correct it in REDIS_URL"),
    ("protected mode", "it is in protected mode and accepts only its own machine: give it a password (requirepass)"),
)
CLUSTER = (
    "it is a node of a Redis Cluster: write redis+cluster://:password@host:6379 in REDIS_URL, "
    "and REDIS_NAMESPACE={mobvibe}"
)
_UNFIT = (
    ("MOVED", CLUSTER),
    ("CROSSSLOT", CLUSTER),
    ("CLUSTERDOWN", CLUSTER),
    ("SELECT is not allowed in cluster", CLUSTER),
    ("DB index is out of range", "it has no database of the number in REDIS_URL: most have 0 to 15, some only 0"),
    ("HTTP/", "what answers there speaks HTTP: REDIS_URL needs the port of Redis, usually 6379"),
    ("Protocol Error", "what answers there is not Redis: check host and port of REDIS_URL"),
    ("WRONG_VERSION_NUMBER", "it speaks no TLS on this port: write redis:// instead of rediss://, or use its TLS port"),
    ("record layer failure", "it speaks no TLS on this port: write redis:// instead of rediss://, or use its TLS port"),
    ("certificate is not valid for", "its certificate is for another name ({text}): use that name in REDIS_URL"),
    ("Hostname mismatch", "its certificate is for another name ({text}): use that name in REDIS_URL"),
    ("IP address mismatch", "its certificate is for another name ({text}): use that name in REDIS_URL"),
    ("certificate has expired", "its certificate has expired: renew it there"),
    ("certificate is not yet valid", "its certificate is not valid yet: compare the clocks of both machines"),
    ("NO_CERTIFICATE_OR_CRL_FOUND", "ssl_ca_certs in REDIS_URL names a file without a certificate: it must be PEM"),
    ("no certificate or crl found", "ssl_ca_certs in REDIS_URL names a file without a certificate: it must be PEM"),
    ("KEY_VALUES_MISMATCH", "ssl_certfile and ssl_keyfile in REDIS_URL do not belong together"),
    (
        "PEM lib",
        "ssl_certfile and ssl_keyfile in REDIS_URL are no certificate and key, or ssl_password is not its password",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is from an authority unknown here ({text}): name it, rediss://…?ssl_ca_certs=/path/ca.pem",
    ),
    ("CERTIFICATE_REQUIRED", "it wants a certificate of ours: rediss://…?ssl_certfile=…&ssl_keyfile=…"),
    ("certificate required", "it wants a certificate of ours: rediss://…?ssl_certfile=…&ssl_keyfile=…"),
    (
        "unknown command",
        "it lacks a command ({text}): is it renamed there (rename-command), is it a Sentinel, or older than Redis 6.2?",
    ),
    ("command called from script", "it lacks a command that our scripts call. To see which one: mobvibe doctor"),
)
_PASSING = (
    ("OOM", "its memory is full (maxmemory): raise it, or find out what fills it; nothing may be evicted"),
    (
        "READONLY",
        "it is a replica and takes no writes: REDIS_URL needs the primary, or the Sentinels: redis+sentinel://…",
    ),
    ("MASTERDOWN", "it is a replica that has lost its primary: REDIS_URL needs the primary"),
    (
        "EOF occurred in violation of protocol",
        "it ended the TLS connection: if it wants a certificate of ours, rediss://…?ssl_certfile=…&ssl_keyfile=…",
    ),
    ("LOADING", "it is still loading its data"),
    ("NOREPLICAS", "it has fewer replicas than min-replicas-to-write wants, and takes no writes: start them"),
)
_WRONG_KEY = (("WRONGTYPE", "a key of ours has another type. To see which one: mobvibe doctor"),)
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (theirs.NoPermissionError, "NOPERM"),
    (theirs.OutOfMemoryError, "OOM"),
    (theirs.ReadOnlyError, "READONLY"),
    (theirs.BusyLoadingError, "LOADING"),
    (theirs.MasterDownError, "MASTERDOWN"),
    (theirs.MovedError, "MOVED"),
    (theirs.AskError, "MOVED"),
    (theirs.ClusterDownError, "CLUSTERDOWN"),
    (theirs.ClusterCrossSlotError, "CROSSSLOT"),
)
_MEANINGS: tuple[tuple[type[RedisUnavailableError], tuple[tuple[str, str], ...]], ...] = (
    (WrongKeyError, _WRONG_KEY),  # first: its text may contain one of the others
    (RedisAccessError, _REFUSED),
    (RedisUnfitError, _UNFIT),
    (RedisUnavailableError, _PASSING),
)


def translated(error: Exception) -> RedisUnavailableError:
    """Our error for one of the driver's; unknown ones keep the driver's text."""
    lines = str(error).strip().splitlines()
    text = lines[0][:300] if lines else type(error).__name__
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "")
    seen = f"{code} {text}"
    for ours, meanings in _MEANINGS:
        for sign, meaning in meanings:
            if sign in seen:
                return ours(meaning.replace("{text}", _short(text)))
    if isinstance(error, theirs.AuthenticationError):
        return RedisAccessError(f"it refuses the login ({text}): correct user and password in REDIS_URL")
    return RedisUnavailableError(text)


def _short(text: str) -> str:
    """The server's text: without what the driver adds, and without a script's hash and arguments."""
    text = re.sub(r"^Error \S+ connecting to \S+\. ", "", text)
    text = re.sub(r" script: [0-9a-f]{40}.*$", "", text)
    text = re.sub(r", with args beginning with:.*$", "", text)  # may hold data
    return text.rstrip(".")
