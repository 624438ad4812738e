"""The web process of this machine, asked over HTTP as anybody may ask it."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any


class WebProcess:
    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def is_up(self) -> bool:
        """Ready, and with a worker behind it."""
        status, _ = self.ask("/readyz")
        return status == 200 and self.ask("/stats")[1].get("workers", {}).get("workers", 0) > 0  # noqa: PLR2004

    def ask(
        self, path: str, body: dict[str, Any] | None = None, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of the answer; 0 when nobody answers."""
        request = urllib.request.Request(  # noqa: S310 -- an address of this machine
            self.address + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")
        # HTTPException too: before anybody listens, a port may be the very one that the question comes from.
        except (OSError, ValueError, http.client.HTTPException):
            return 0, {}
