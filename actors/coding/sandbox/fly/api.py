"""The Machines API, as far as sandboxes need it: requests, their limits, and what may be asked again."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any

from actors.coding.sandbox.base import SandboxError
from actors.coding.sandbox.fly.buckets import Buckets

URL = "https://api.machines.dev"
_ANSWER_SECONDS = 75.0  # more than the longest `wait`
_WAIT_SECONDS = 60  # the most that `wait` takes
_TRIES = 5  # of one request: with the pauses below they take 15 s
_FIRST_PAUSE_SECONDS = 1.0  # doubled each time
_TOO_MANY = 429  # of HTTP
_SERVER = 500  # and above: the server's faults

Json = dict[str, Any]


class FlyError(SandboxError):
    """The API refused a request, or its answer got lost (`status` 0: it may have had its effect)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"Fly's Machines API: {text} ({status or 'no answer'})")
        self.status = status

    @property
    def is_unclear(self) -> bool:
        """It may have had its effect all the same."""
        return self.status == 0 or self.status >= _SERVER


class FlyApi:
    def __init__(self, app: str, token: str, url: str = URL, buckets: Buckets | None = None) -> None:
        self._base = f"{url}/v1/apps/{urllib.parse.quote(app, safe='')}"
        self._app = app
        self._token = token
        self._buckets = buckets or Buckets()

    def machines(self, metadata: Mapping[str, str]) -> Sequence[Json]:
        query = urllib.parse.urlencode({f"metadata.{name}": value for name, value in metadata.items()})
        return list(self._safe("GET", f"/machines?{query}", "list", self._app))

    def create(self, body: Json) -> Json:
        """Raises FlyError with 409 when there is one of this name. It is not asked for again: it may be there."""
        return dict(self._ask("POST", "/machines", "create", self._app, body))

    def start(self, machine: str) -> None:
        try:
            self._safe("POST", f"/machines/{machine}/start", "start", machine, {})
        except FlyError as error:
            if error.status != 412:  # noqa: PLR2004 -- it is starting or started already
                raise

    def wait(self, machine: str, state: str) -> None:
        path = f"/machines/{machine}/wait?state={state}&timeout={_WAIT_SECONDS}"
        self._safe("GET", path, "wait", machine)

    def stop(self, machine: str, nonce: str) -> None:
        self._safe("POST", f"/machines/{machine}/stop", "stop", machine, {}, nonce)

    def destroy(self, machine: str, nonce: str) -> None:
        try:
            self._safe("DELETE", f"/machines/{machine}?force=true", "delete", machine, None, nonce)
        except FlyError as error:
            if error.status != 404:  # noqa: PLR2004 -- it was destroyed by a request whose answer got lost
                raise

    def lease(self, machine: str, seconds: int) -> str:
        """The nonce without which nobody changes the machine for so long. Raises FlyError with 409: another has it."""
        answer = self._safe("POST", f"/machines/{machine}/lease", "lease", machine, {"ttl": seconds})
        return str(answer["data"]["nonce"])

    def release(self, machine: str, nonce: str) -> None:
        self._safe("DELETE", f"/machines/{machine}/lease", "release", machine, None, nonce)

    def mark(self, machine: str, name: str, value: str) -> None:
        self._safe("POST", f"/machines/{machine}/metadata/{name}", "metadata", machine, {"value": value})

    def volumes(self) -> Sequence[Json]:
        return list(self._safe("GET", "/volumes", "volumes", self._app))

    def create_volume(self, body: Json) -> Json:
        return dict(self._ask("POST", "/volumes", "volume", self._app, body))

    def destroy_volume(self, volume: str) -> None:
        try:
            self._safe("DELETE", f"/volumes/{volume}", "delete volume", volume)
        except FlyError as error:
            if error.status != 404:  # noqa: PLR2004 -- as above
                raise

    def _safe(self, method: str, path: str, action: str, scope: str, body: Json | None = None, nonce: str = "") -> Any:
        """Ask, and ask again when the answer is unclear: the request may have its effect twice."""
        pause = _FIRST_PAUSE_SECONDS
        for _ in range(_TRIES - 1):
            try:
                return self._ask(method, path, action, scope, body, nonce)
            except FlyError as error:
                if not error.is_unclear:
                    raise
            time.sleep(pause)
            pause *= 2
        return self._ask(method, path, action, scope, body, nonce)

    def _ask(self, method: str, path: str, action: str, scope: str, body: Json | None = None, nonce: str = "") -> Any:
        """One request, and again only when it was refused for being one too many."""
        for _ in range(_TRIES):
            self._buckets.take(action, scope)
            try:
                return self._send(method, path, body, nonce)
            except FlyError as error:
                if error.status != _TOO_MANY:
                    raise
                last = error
            time.sleep(_FIRST_PAUSE_SECONDS)
        raise last

    def _send(self, method: str, path: str, body: Json | None, nonce: str) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        if nonce:
            headers["fly-machine-lease-nonce"] = nonce
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, headers, method=method)  # noqa: S310 -- our own address
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                raise FlyError(error.code, _reason(error.read())) from None
        except (OSError, HTTPException, ValueError) as error:
            raise FlyError(0, str(error)) from error


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, LookupError, TypeError):
        return "no reason given"
