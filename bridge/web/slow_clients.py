"""uvicorn's HTTP connection with deadlines, so that slow clients cannot hold connections for long.

It also answers requests that never reach the app with JSON.
"""

import asyncio
import logging
import sys
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from bridge.web.answers import refusal_body, refusal_headers

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 10.0  # ample for 64 kB over a poor mobile link, in either direction
HEAD_MOST_BYTES = 65_536  # of a request's head: the longest token and cookies together need a tenth of it
# Leaves room for pages and probes beside the streams of sessions and of tabs (streams/). A process without a free file
# accepts nobody: it is allowed enough of them at its start (open_files.py).
CONNECTIONS_MOST = 1200


class DeadlineProtocol(H11Protocol):
    """A connection that is closed when a request's head, or the client's reading, takes longer than REQUEST_SECONDS.

    A timeout per read is not enough: a client that sends single bytes would never exceed it. The body of a request has
    the same deadline, where the app reads it (whole_requests.py).
    """

    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that we hear of each byte that the client has not taken yet
        if len(self.connections) > CONNECTIONS_MOST:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._head_timer is None and self._is_between_requests():
            self._await_head()
        super().data_received(data)
        if not self._is_between_requests():
            self._end_head_timer()

    def _is_between_requests(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn says that it is never None, and begins with None
        return cycle is None or cycle.response_complete

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(REQUEST_SECONDS, self._head_came_not)

    def _head_came_not(self) -> None:
        self._head_timer = None
        if self._is_between_requests():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time")

    def _end_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether to keep the connection open: some clients close their side as soon as they have sent a request.

        Once an answer has begun, it is a client that leaves, and a stream ends at once.
        """
        if self._is_between_requests() or self.cycle.more_body or self.cycle.response_started:
            return False
        self.cycle.keep_alive = False
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(REQUEST_SECONDS, self._answer_not_read)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _answer_not_read(self) -> None:
        self._write_timer = None
        logger.info("Connection closed: the client does not read its answer")
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that cannot be parsed. uvicorn calls this while it handles h11's error."""
        error = sys.exc_info()[1]
        status = HTTPStatus(getattr(error, "error_status_hint", HTTPStatus.BAD_REQUEST))
        if status is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE and b"\n" not in self.conn.trailing_data[0]:
            status = HTTPStatus.REQUEST_URI_TOO_LONG
        self._refuse(status, str(error or msg))

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        logger.info("Request refused", extra={"status": status.value, "reason": reason[:200]})
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            body = refusal_body(status.phrase)
            events: tuple[Any, ...] = (
                h11.Response(status_code=status, headers=refusal_headers(body), reason=status.phrase.encode()),
                h11.Data(data=body),
                h11.EndOfMessage(),
            )
            self.transport.writelines(self.conn.send(event) or b"" for event in events)
        self.transport.close()
