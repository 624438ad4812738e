"""Where the web process listens: one port, or a second one for the pages."""

import socket

from bridge.errors import PortTakenError
from bridge.settings import Settings


def ports_of(settings: Settings) -> dict[str, int]:
    """The ports as the log names them."""
    return {"port": settings.http_port} | ({"admin_port": settings.admin_port} if settings.admin_port else {})


def check_ports(settings: Settings) -> None:
    """Raise PortTakenError unless we can listen on the public port, and on that of the pages if it is another."""
    check_port(settings.bind_host, settings.http_port)
    if settings.admin_port == settings.http_port:
        raise PortTakenError(
            f"ADMIN_PORT {settings.admin_port} is the public port, too. Set it to another one, or leave it out."
        )
    if settings.admin_port is not None:
        check_port(settings.pages_host, settings.admin_port, "ADMIN_PORT", "ADMIN_BIND_HOST")


def check_port(host: str, port: int, name: str = "HEALTH_CHECK_PORT", host_name: str = "BIND_HOST") -> None:
    """Raise PortTakenError, which says which settings to change, unless we can listen on this host and port."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except PermissionError:
        raise PortTakenError(f"Port {port} needs rights we do not have. Set {name} to one above 1023.") from None
    except (socket.gaierror, UnicodeError):
        raise PortTakenError(f"{host_name} {host} is not an address of this machine.") from None
    except OSError as error:
        raise PortTakenError(f"Cannot listen on {host}:{port}: {error.strerror}. Set {name} to a free port.") from None
