"""What an address speaks that does not answer as Redis does: asked with one word of each language it may be."""

import socket
import ssl
import struct
from typing import Any

import redis

from bridge.transport.client import Client

_TIMEOUT_SECONDS = 2.0
_PING = b"PING\r\n"
_MAY_WE_ENCRYPT = struct.pack("!ii", 8, 80877103)  # Postgres answers with a single S or N


def other_language(client: Client) -> str | None:
    """What is wrong with REDIS_URL, when what answers there can be known by its language; None when it cannot."""
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
        pass  # nobody listens
    return None


def _answer(address: tuple[str, int], request: bytes, *, tls: bool = False) -> bytes:
    """The beginning of it, nothing where there is none. Raises ConnectionError when nobody listens."""
    link = socket.create_connection(address, _TIMEOUT_SECONDS)
    try:
        if tls:
            context = ssl.create_default_context()
            # It is asked for its language alone, and told nothing.
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
