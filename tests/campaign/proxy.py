"""A TCP proxy that does what networks do: delays, silence, resets, and replies that never arrive.

`python -m tests.campaign.proxy` runs several proxies in one process. It reads commands from standard input, one JSON
object per line, and answers each with a line. It ends when its standard input does.
"""

import asyncio
import contextlib
import json
import random
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.campaign.wire import PostgresReader, Reader, RedisReader

_CHUNK = 65_536
_LINGER_NOT = struct.pack("ii", 1, 0)  # close with a reset
READERS: dict[str, Callable[[], Reader]] = {"postgres": PostgresReader, "redis": RedisReader}


@dataclass
class Conditions:
    """The network conditions at the moment. `Conditions()` has no faults."""

    latency: float = 0.0  # seconds, each way, each chunk
    jitter: float = 0.0  # up to so much more
    refuse: bool = False  # new connections are reset at once
    drop: Literal["nothing", "existing", "all"] = "nothing"  # no byte passes, no connection is closed
    lose_replies: float = 0.0  # share of the requests that are passed on, and whose reply is lost with the connection
    asking: tuple[str, ...] = ()  # only of requests that contain one of these


class Connection:
    """One client, one server, and the bytes between them."""

    def __init__(self, proxy: "Proxy", number: int, client: "Pair", server: "Pair") -> None:
        self.proxy = proxy
        self.number = number
        self.client = client
        self.server = server
        self.reader = READERS[proxy.protocol]()
        self.mute = False  # bytes were dropped, so later ones would make no sense to the receiver
        self.loses_reply = False
        self.bytes_left: int | None = None

    async def run(self) -> None:
        pumps = [
            asyncio.create_task(self._pump(self.client[0], self.server[1], asks=True)),
            asyncio.create_task(self._pump(self.server[0], self.client[1], asks=False)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for _, writer in (self.client, self.server):
                writer.close()

    def reset(self) -> None:
        for _, writer in (self.client, self.server):
            reset(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asks: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if not await self._pass_on(data, writer, asks=asks):
                    return

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter, *, asks: bool) -> bool:
        conditions = self.proxy.conditions
        if asks:
            for text in self.reader.asked(data):
                self.loses_reply = self.loses_reply or self.proxy.loses_reply_to(text)
        if self.mute or conditions.drop == "all":
            self.mute = True
            return True
        if conditions.latency or conditions.jitter:
            await asyncio.sleep(conditions.latency + self.proxy.random.uniform(0, conditions.jitter))
        if self.loses_reply and not asks:
            # The whole reply is awaited and none of it forwarded: the request is done, but the client does not know.
            if self.reader.is_whole(data):
                self.proxy.lost_replies += 1
                self.reset()
                return False
            return True
        if self.bytes_left is not None:
            self.bytes_left -= len(data)
            if self.bytes_left < 0:
                writer.write(data[: self.bytes_left])
                with contextlib.suppress(OSError):
                    await writer.drain()
                self.reset()
                return False
        writer.write(data)
        await writer.drain()
        return True


Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Listens on a free loopback port and forwards to `target`."""

    def __init__(self, target: tuple[str, int], protocol: str, seed: int = 0) -> None:
        self.target = target
        self.protocol = protocol
        self.random = random.Random(seed)
        self.conditions = Conditions()
        self.lost_replies = 0
        self.connections: dict[int, Connection] = {}
        self._opened = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """The port it listens on."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def loses_reply_to(self, text: str) -> bool:
        conditions = self.conditions
        asked_for = not conditions.asking or any(word in text for word in conditions.asking)
        return conditions.lose_replies > 0 and asked_for and self.random.random() < conditions.lose_replies

    # Commands.

    def set_conditions(self, **conditions: Any) -> dict[str, Any]:
        self.conditions = Conditions(**conditions | {"asking": tuple(conditions.get("asking", ()))})
        if self.conditions.drop == "existing":
            for connection in self.connections.values():
                connection.mute = True
        return {"connections": len(self.connections)}

    def aim(self, port: int) -> dict[str, Any]:
        """Forward to another port of the same host from now on."""
        self.target = (self.target[0], port)
        return {}

    def reset(self, share: float = 1.0) -> dict[str, Any]:
        """Reset a share of the connections now."""
        chosen = self._choose(share)
        for connection in chosen:
            connection.reset()
        return {"connections": len(chosen)}

    def cut_after(self, count: int, share: float = 1.0) -> dict[str, Any]:
        """Reset a share of the connections once `count` more bytes have passed through each."""
        chosen = self._choose(share)
        for connection in chosen:
            connection.bytes_left = count
        return {"connections": len(chosen)}

    def who(self) -> dict[str, Any]:
        """Open connections, as number (from 1, in order of arrival) and name; and how many replies were lost so far."""
        named = [[connection.number, connection.reader.name] for connection in self.connections.values()]
        return {"connections": named, "opened": self._opened, "lost_replies": self.lost_replies}

    def _choose(self, share: float) -> list[Connection]:
        return [one for one in self.connections.values() if self.random.random() < share]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = None if self.conditions.refuse else await asyncio.open_connection(*self.target)
        except OSError:
            server = None
        if server is None:
            reset(writer)
            return
        for one in (writer, server[1]):
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._opened += 1
        connection = Connection(self, self._opened, (reader, writer), server)
        self.connections[connection.number] = connection
        try:
            await connection.run()
        finally:
            del self.connections[connection.number]


def reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()


async def serve(proxies: dict[str, Proxy]) -> None:
    """Run the commands of standard input until it ends."""
    ports = {name: await proxy.open() for name, proxy in proxies.items()}
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    say(ports)
    while line := await orders.readline():
        order = json.loads(line)
        say(getattr(proxies[order["proxy"]], order["do"])(**order["with"]))


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    plan = json.loads(sys.argv[1])
    asyncio.run(
        serve(
            {name: Proxy((one["host"], one["port"]), one["protocol"], seed=one["seed"]) for name, one in plan.items()}
        )
    )
