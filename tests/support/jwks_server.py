"""A server that publishes keys as Supabase does, and fails in the ways that servers fail; and tokens of these keys."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

PATH = "/auth/v1/.well-known/jwks.json"


class SigningKey:
    """A key pair with its id."""

    def __init__(self, kid: str, algorithm: str = "ES256", bits: int = 2048) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private: Any = (
            ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else rsa.generate_private_key(65537, bits)
        )

    def published(self, **changed: Any) -> dict[str, Any]:
        kind: Any = ECAlgorithm if self.algorithm == "ES256" else RSAAlgorithm
        described: dict[str, Any] = kind.to_jwk(self.private.public_key(), as_dict=True)
        return described | {"kid": self.kid, "alg": self.algorithm, "use": "sig"} | changed

    def private_part(self) -> dict[str, Any]:
        described: dict[str, Any] = ECAlgorithm.to_jwk(self.private, as_dict=True)
        return described | {"kid": self.kid}

    def token(self, user: UUID, headers: dict[str, Any] | None = None, **changed: Any) -> str:
        lifetime = datetime.now(UTC) + timedelta(minutes=30)
        claims = {"sub": str(user), "aud": "authenticated", "role": "authenticated", "exp": lifetime} | changed
        return jwt.encode(claims, self.private, self.algorithm, headers={"kid": self.kid} | (headers or {}))


class JwksServer:
    """`status`, `body`, `headers`: of its next answers. `seconds` before each; `drips` sends single bytes."""

    def __init__(self, *keys: SigningKey) -> None:
        self.status, self.headers, self.seconds, self.drips = 200, dict[str, str](), 0.0, False
        self.publish(*keys)
        self.requests = list[str]()
        self.is_closed = False
        self.at_once = self.at_once_most = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self._server.server_port}"
        self.address = self.base + PATH
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def publish(self, *keys: SigningKey) -> None:
        self.body = json.dumps({"keys": [key.published() for key in keys]}).encode()

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.requests.append(to.path)
            self.at_once += 1
            self.at_once_most = max(self.at_once, self.at_once_most)
        try:
            time.sleep(self.seconds)
            to.send_response(self.status)
            for name, value in self.headers.items():
                to.send_header(name, value)
            to.end_headers()
            for byte in self.body if self.drips else ():
                to.wfile.write(bytes([byte]))
                time.sleep(0.1)
            to.wfile.write(self.body)
        except OSError:
            pass  # the client has left
        finally:
            with self._lock:
                self.at_once -= 1

    def close(self) -> None:
        self.is_closed = True
        self._server.shutdown()
        self._server.server_close()
