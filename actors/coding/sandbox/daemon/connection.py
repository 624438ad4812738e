"""One client of the daemon: its requests, the answers, and the output of the call that it follows."""

import contextlib
import selectors
import socket
from collections.abc import Callable

from actors.coding.sandbox.daemon.call import Call
from actors.coding.sandbox.daemon.protocol import Json, message, take_message

READ_BYTES = 256 * 1024  # at a time: a file comes in few steps

Answer = Callable[[Json, bytes], tuple[Json, bytes]]


class Connection:
    """Answers each request with `answer`. One that answers with a Call as `follow` is followed until its exit."""

    def __init__(self, peer: socket.socket, selector: selectors.BaseSelector, answer: Answer) -> None:
        self._peer = peer
        self._selector = selector
        self._answer = answer
        self._received = bytearray()
        self._unsent = b""
        self._followed: Call | None = None
        self._offset = 0
        self.is_open = True
        peer.setblocking(False)
        selector.register(peer, selectors.EVENT_READ, self.receive)

    def receive(self) -> None:
        try:
            data = self._peer.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._received += data
        try:
            while taken := take_message(self._received):
                self._respond(*taken)
        except (ValueError, LookupError, TypeError, AttributeError):  # no request of ours
            data = b""
        if not data:
            self.close()

    def _respond(self, request: Json, body: bytes) -> None:
        fields, answer = self._answer(request, body)
        call = fields.pop("follow", None)
        if call is not None:
            self._followed, self._offset = call, int(request["offset"])
        self._unsent += message(fields, answer)

    def send(self) -> None:
        """Send what there is, as far as the peer takes it. The rest goes when the peer can take more."""
        try:
            while self.is_open and (self._unsent or self._fill()):
                self._unsent = self._unsent[self._peer.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
        if self.is_open:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
            self._selector.modify(self._peer, events, self.receive)

    def _fill(self) -> bool:
        """Whether the followed call has something to send."""
        call = self._followed
        if call is None:
            return False
        self._unsent = call.read(self._offset)
        self._offset += len(self._unsent)
        if not self._unsent and call.exit is not None:
            self._unsent, self._followed = call.exit_frame(), None
        return bool(self._unsent)

    def close(self) -> None:
        self.is_open = False
        self._selector.unregister(self._peer)
        with contextlib.suppress(OSError):
            self._peer.close()
