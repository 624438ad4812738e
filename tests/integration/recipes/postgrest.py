"""A stand-in for PostgREST: a request calls one function, as a signed-in user, in a transaction of its own."""

import http.client
import json
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql


class PostgrestStandIn:
    """Answers `POST /rest/v1/rpc/<function>`, and keeps what it was asked."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.requests: list[tuple[str, Any]] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                arguments = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stand_in.requests.append((self.path, arguments))
                status, answer = stand_in.call(self.path.removeprefix("/rest/v1/rpc/"), arguments)
                body = json.dumps(answer, default=str).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def call(self, function: str, arguments: dict[str, Any]) -> tuple[int, Any]:
        """Status and body. A conflict is 409, as PostgREST says it."""
        named = sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in arguments.items()
        )
        try:
            # A connection whose commit is refused does not close itself.
            with closing(psycopg.connect(self._dsn)) as connection, connection.transaction():
                connection.execute("SET LOCAL ROLE authenticated")
                row = connection.execute(sql.SQL("SELECT {}({})").format(sql.Identifier(function), named)).fetchone()
        except psycopg.errors.UniqueViolation as error:
            return 409, {"code": error.sqlstate, "message": str(error)}
        assert row is not None
        return 200, row[0]

    def post(self, path: str, body: str) -> int:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
        connection.close()
        return status

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
