"""gunicorn's threaded worker with a deadline for each request, so that slow clients cannot occupy its threads.

It also answers requests that never reach the app with JSON.
"""

import json
import logging
import socket
import struct
import time
from http import HTTPStatus
from typing import Any

from gunicorn import http
from gunicorn.http.errors import ExpectationFailed, LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker
from werkzeug.exceptions import RequestTimeout

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 10.0  # ample for 64 kB over a poor mobile link; and how long a slow client can occupy a thread
_STATUSES = (
    (RequestTimeout, HTTPStatus.REQUEST_TIMEOUT),
    (LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    (ParseException, HTTPStatus.BAD_REQUEST),
)


class _Deadline:
    """The reading side of a connection: a whole request, body included, must arrive within REQUEST_SECONDS.

    A timeout per read is not enough: a client that sends single bytes would never exceed it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ends_at = 0.0
        self._limit: float | None = None
        self.begin()

    def begin(self) -> None:
        """Start the time of the next request."""
        self._ends_at = time.monotonic() + REQUEST_SECONDS

    def gettimeout(self) -> float | None:
        return self._limit

    def settimeout(self, seconds: float | None) -> None:
        """Called by gunicorn while it discards a body that the app did not read: the answer is sent by then."""
        self._limit = seconds

    def recv(self, size: int) -> bytes:
        left = self._ends_at - time.monotonic()
        if self._limit is not None:
            left = min(left, self._limit)
        try:
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(left)
            return self._connection.recv(size)
        except TimeoutError:
            if self._limit is not None:
                raise
            raise RequestTimeout from None
        finally:
            self._connection.settimeout(None)


class DeadlineWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    def handle(self, conn: Any) -> Any:
        if conn.parser is None:
            conn.parser = http.get_parser(self.cfg, _Deadline(conn.sock), conn.client)
            # Limit slow readers too. The kernel waits this long twice: for the part of an answer that fits into the
            # send buffer, and for the rest.
            wait = struct.pack("ll", int(REQUEST_SECONDS / 2), 0)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
        conn.parser.unreader.sock.begin()
        return super().handle(conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:  # noqa: ARG002 -- gunicorn's
        """Answer a request that could not be parsed and so never reached the app."""
        status = next((status for kind, status in _STATUSES if isinstance(exc, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
        if status is HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("Request crashed", exc_info=exc)
        else:
            logger.info("Request refused", extra={"status": status.value, "reason": str(exc)[:200]})
        body = json.dumps({"success": False, "error": status.phrase}).encode() + b"\n"
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"X-Content-Type-Options: nosniff\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            write_nonblock(client, head.encode("ascii") + body)
        except OSError as error:
            logger.debug("An answer was lost", extra={"reason": str(error)})
