"""Serves everything below a path of a proxy, whether the proxy removes that path from a request or passes it on."""

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class PathPrefix:
    """Tells `app` where it is mounted, so that it finds its routes and makes addresses that lead back to it."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == self._prefix:
            # Relative: a proxy before us may have another name, and speak HTTPS.
            await RedirectResponse(f"{self._prefix}/" + _query(scope))(scope, receive, send)
            return
        if scope["type"] == "http":
            scope = {**scope, "root_path": self._prefix, "path": self._prefix + self._own_path(scope["path"])}
        await self._app(scope, receive, send)

    def _own_path(self, path: str) -> str:
        return path.removeprefix(self._prefix) if f"{path}/".startswith(f"{self._prefix}/") else path


def _query(scope: Scope) -> str:
    query: bytes = scope["query_string"]
    return f"?{query.decode('latin-1')}" if query else ""
