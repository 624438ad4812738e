"""Finds out which other protocol a server speaks that does not answer like Redis: sends one request of each."""

import socket
import ssl
import struct
from typing import Any

import redis

from bridge.transport.client import Client

_TIMEOUT_SECONDS = 2.0  # for each of up to four requests, while a person waits for the error
_PING = b"PING\r\n"
_MAY_WE_ENCRYPT = struct.pack("!ii", 8, 80877103)  # Postgres answers with a single S or N


def other_language(client: Client) -> str | None:
    """What is wrong with REDIS_URL, when the protocol of what answers there is known; None when it is not."""
    options: dict[str, Any] = client.connection_pool.connection_kwargs
    if "host" not in options:
        return None
    address = str(options["host"]), int(options.get("port", 6379))
    wants_tls = issubclass(client.connection_pool.connection_class, redis.SSLConnection)
    try:
        if wants_tls:
            if _answer(address, _PING)[:1] in (b"+", b"-"):
                return "it speaks no TLS on this port: write redis:// instead of rediss://"
        elif _answer(address, _PING, tls=True)[:1] in (b"+", b"-"):
            return "it speaks TLS on this port: write rediss:// instead of redis://"
        if _answer(address, _MAY_WE_ENCRYPT) in (b"S", b"N"):
            return "what answers there is Postgres: REDIS_URL needs the port of Redis, usually 6379"
        if _answer(address, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/"):
            return "what answers there speaks HTTP: REDIS_URL needs the port of Redis, usually 6379"
    except ConnectionError:
        pass  # nothing listens there
    return None


def _answer(address: tuple[str, int], request: bytes, *, tls: bool = False) -> bytes:
    """The first bytes of the answer, b"" for none. Raises ConnectionError when nothing listens there."""
    link = socket.create_connection(address, _TIMEOUT_SECONDS)
    try:
        if tls:
            context = ssl.create_default_context()
            # Only its protocol is asked for; no secret is sent.
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            link = context.wrap_socket(link)
        link.sendall(request)
        return link.recv(16)
    except ssl.SSLError as error:
        return b"+" if "CERTIFICATE_REQUIRED" in str(error) else b""
    except OSError:
        return b""
    finally:
        link.close()
