"""What the public port answers when the pages have a port of their own: probes, and the API of users' sessions."""

import re

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.web.answers import SECURITY_HEADERS

# What is open, so that a page which is added later is not. /metrics, /stats and the dashboard are for the other port.
_OPEN = re.compile(r"/livez|/health|/readyz|/functions/v1/[a-z-]+|/sessions/[^/]+/(?:events|archive)")


class PublicPort:
    """Passes every request of the port `admin_port` on to `app`, and of other ports only those for users."""

    def __init__(self, app: ASGIApp, admin_port: int) -> None:
        self._app = app
        self._admin_port = admin_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_for_admins(scope) and not _OPEN.fullmatch(_own_path(scope)):
            body = {"success": False, "error": "Not found"}
            await JSONResponse(body, 404, headers=SECURITY_HEADERS)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_for_admins(self, scope: Scope) -> bool:
        """By the socket that took the connection: a Host header says what its client likes."""
        return bool(scope["server"][1] == self._admin_port)


def _own_path(scope: Scope) -> str:
    return str(scope["path"]).removeprefix(scope["root_path"])
