"""A client of the web process on this machine, over its public HTTP interface."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

_ANSWER_SECONDS = 5  # longer than its own checks of both stores


class WebProcess:
    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def is_up(self) -> bool:
        """Whether it is ready, and a worker is alive."""
        status, _ = self.ask("/readyz")
        return status == 200 and self.ask("/stats")[1].get("workers", {}).get("workers", 0) > 0  # noqa: PLR2004

    def ask(
        self, path: str, body: dict[str, Any] | None = None, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of the answer. The status is 0 when there is no answer."""
        request = urllib.request.Request(  # noqa: S310 -- an address of this machine
            self.address + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")
        # HTTPException too: while nothing listens on the port, the kernel may choose it as the source of this request,
        # which then reaches itself.
        except (OSError, ValueError, http.client.HTTPException):
            return 0, {}
