"""A Git server by HTTPS, with a certificate of its own, which may ask for a token or send elsewhere."""

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=trunk"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class GitServer:
    """`requests`: their lines. `token`: without it, 401. `elsewhere`: where each request is sent to.

    `status`: what every request gets. `is_cut`: the server hangs up in the middle of what is fetched. `answers`, when
    cleared: it takes requests, and waits.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token: str | None = None
        self.elsewhere: str | None = None
        self.status: int | None = None
        self.is_cut = False
        self.answers = threading.Event()
        self.answers.set()
        self.requests: list[str] = []
        self.certificate = folder / "certificate.pem"
        files = ["-keyout", str(folder / "key.pem"), "-out", str(self.certificate)]
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *files, *subject],
            check=True,
            capture_output=True,
        )
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.requestline)
                server.answers.wait()
                expected = base64.b64encode(f"x-access-token:{server.token}".encode()).decode()
                if server.elsewhere:
                    self.send_response(302)
                    self.send_header("Location", server.elsewhere + self.path)
                    self.send_header("Content-Length", "0")  # GnuTLS takes a sudden end for an attack
                    self.end_headers()
                elif server.token and self.headers["Authorization"] != f"Basic {expected}":
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", "Basic")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif server.status:
                    self.send_response(server.status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    self._serve()

            do_POST = do_GET  # noqa: N815 -- the name that the server calls

            def _serve(self) -> None:
                path, _, query = self.path.partition("?")
                environment = {
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(server.folder),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "REQUEST_METHOD": self.command,
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                }
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                done = subprocess.run(
                    ["git", "http-backend"], input=body, capture_output=True, check=False, env=environment
                )
                head, _, content = done.stdout.partition(b"\r\n\r\n")
                lines = dict(line.split(": ", 1) for line in head.decode().splitlines())
                self.send_response(int(lines.pop("Status", "200").split()[0]))
                for name, value in lines.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                is_pack = server.is_cut and b"PACK" in content
                self.wfile.write(content[: len(content) // 2] if is_pack else content)
                self.close_connection = is_pack

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, folder / "key.pem")
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.host = f"localhost:{self._http.server_port}"

    @contextmanager
    def serving(self) -> Iterator["GitServer"]:
        thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        thread.start()
        yield self
        self.answers.set()
        self._http.shutdown()
        self._http.server_close()
        thread.join()
