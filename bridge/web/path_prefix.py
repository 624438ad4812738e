"""Serves everything below a path of a proxy, whether the proxy removes that path from a request or passes it on."""

from starlette.types import ASGIApp, Receive, Scope, Send


class PathPrefix:
    """Tells `app` where it is mounted, so that it finds its routes and makes addresses that lead back to it."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "root_path": self._prefix, "path": self._prefix + self._own_path(scope["path"])}
        await self._app(scope, receive, send)

    def _own_path(self, path: str) -> str:
        return path.removeprefix(self._prefix) if f"{path}/".startswith(f"{self._prefix}/") else path
