"""The link to the Messages API: one client for a turn, whose connections another thread can shut."""

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from actors.coding.agent.claude import problems
from actors.coding.agent.runner import Json

if TYPE_CHECKING:
    import httpx2

_CONNECT_SECONDS = 10.0  # elsewhere it takes well below one
_WRITE_SECONDS = 60.0  # for a conversation of some megabytes
_SILENT_SECONDS = 120.0  # between two events: the API sends a ping when it has nothing to say


class Link:
    """`with Link(key, base_url) as link`: holds connections until then. Not for several threads, except `shut`."""

    def __init__(self, key: str, base_url: str | None, *, silent_seconds: float = _SILENT_SECONDS) -> None:
        import anthropic  # noqa: PLC0415 -- a second and 67 MB, which a worker without sessions must not pay
        import httpx2  # noqa: PLC0415

        self._key = key
        self._sockets: list[Any] = []
        self._is_shut = False
        self._failures = (httpx2.TransportError, anthropic.APIConnectionError)
        timeout = httpx2.Timeout(silent_seconds, connect=_CONNECT_SECONDS, write=_WRITE_SECONDS)
        self._client = anthropic.Anthropic(
            api_key=key,
            base_url=base_url or "https://api.anthropic.com",
            max_retries=0,  # ours know what was shown already
            timeout=timeout,
            open_telemetry=False,
            http_client=anthropic.DefaultHttpxClient(event_hooks={"request": [self._watch]}, timeout=timeout),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def events(self, body: Mapping[str, Any]) -> Iterator[Json]:
        """The raw events of the answer, as they come. Raises Problem."""
        import anthropic  # noqa: PLC0415 -- loaded already

        try:
            with self._client.messages.with_streaming_response.create(stream=True, **body) as response:
                for event in anthropic.Stream.raw_events(response.http_response):
                    data = json.loads(event.data) if event.data else {}
                    if event.event == "error":
                        raise problems.of_event(data.get("error"), self._key)
                    if "type" in data:
                        yield data
        except anthropic.APIStatusError as error:
            raise problems.of_status(error.status_code, error.body, error.response.headers, self._key) from None
        except (*self._failures, ValueError) as error:  # ValueError: an event that is no JSON
            raise problems.of_link(error, self._key) from None

    def shut(self) -> None:
        """Wake the thread that waits for an answer: closing alone would not. For good. Thread-safe."""
        self._is_shut = True
        for one in [*self._sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _watch(self, request: "httpx2.Request") -> None:
        request.extensions["trace"] = self._note_socket

    def _note_socket(self, _event: str, info: Mapping[str, Any]) -> None:
        """Each connection that is made, and its form after the TLS handshake, tells its socket here."""
        told = getattr(info.get("return_value"), "get_extra_info", None)
        if told is not None and (found := told("socket")) is not None:
            self._sockets.append(found)
            if self._is_shut:  # meanwhile
                self.shut()
