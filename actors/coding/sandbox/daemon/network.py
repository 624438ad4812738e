"""How a command reaches the proxy: by a port of its own network namespace, in which there is nothing else.

The port is opened from outside, by a process that enters the namespace for it, and given to the proxy. So the sandbox
needs no program and no socket of ours inside.
"""

import ctypes
import fcntl
import json
import os
import socket

PORT = 3128  # what proxies use
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # from <linux/sched.h>
NS_GET_USERNS = 0xB701  # from <linux/nsfs.h>
INFO_BYTES = 4096  # more than bubblewrap says
LIBC = ctypes.CDLL(None, use_errno=True)


def variables(port: int = PORT) -> dict[str, str]:
    """Those by which programs find the proxy."""
    return {
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), f"http://127.0.0.1:{port}"),
        **dict.fromkeys(("no_proxy", "NO_PROXY"), "localhost,127.0.0.1,::1"),
    }


def options(ports: int) -> tuple[list[str], list[int]]:
    """Options of bubblewrap, and the descriptors in them, with which it waits until its network has the port.

    Call it in the process that becomes the warden: the proxy serves the port for as long as this process is there.
    """
    info, said = os.pipe()
    waits, go_on = os.pipe()
    until, _ = os.pipe()
    if os.fork() == 0:
        try:
            open_port(ports, info, until)
            os.write(go_on, b"x")
        finally:
            os._exit(0)
    for descriptor in (info, go_on, until):
        os.close(descriptor)
    return ["--info-fd", str(said), "--block-fd", str(waits)], [said, waits]


def open_port(ports: int, info: int, until: int) -> None:
    """Open the port in the sandbox that `info` tells of, and give it to the proxy. Leaves this process in there."""
    said = b""
    while b"}" not in said:
        said += os.read(info, INFO_BYTES)
    network = os.open(f"/proc/{json.loads(said)['child-pid']}/ns/net", os.O_RDONLY)
    owner = fcntl.ioctl(network, NS_GET_USERNS)
    for namespace, kind in ((owner, CLONE_NEWUSER), (network, CLONE_NEWNET)):
        if LIBC.setns(namespace, kind) != 0:
            raise OSError(ctypes.get_errno(), "the network of the sandbox cannot be entered")
    with socket.create_server(("127.0.0.1", PORT)) as listener, socket.socket(fileno=ports) as proxy:
        socket.send_fds(proxy, [b"x"], [listener.fileno(), until])
