"""A stand-in for Fly's Machines API, with its limits and its bad days. A machine is a real process here.

As its reference says: a request a second for each action and machine (or app), three at once; `wait` takes 60 s at
most; a machine that starts has all but its volume as new; a lease keeps others from changing a machine; names of
machines are unique, those of volumes are not.
"""

import base64
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from bridge.dev.embedded.server import pick_port

TOKEN = "fly-token"
Json = dict[str, Any]


class RefuseError(Exception):
    def __init__(self, status: int, error: str) -> None:
        self.status, self.error = status, error


class FakeFly(ThreadingHTTPServer):
    """`faults`: pairs of an action and what goes wrong once: `500`, `capacity`, `reply lost`. `asked`: all requests.

    `refused`: how many of them were too many.
    """

    daemon_threads = True

    def __init__(self, *, limited: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.limited = limited
        self.root = Path(tempfile.mkdtemp(prefix="fly-"))
        self.root.chmod(0o755)
        self.machines: dict[str, Json] = {}
        self.volumes: dict[str, Json] = {}
        self.faults: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.refused = 0
        self.lock = threading.RLock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._buckets: dict[tuple[str, str], tuple[float, float]] = defaultdict(lambda: (3.0, time.monotonic()))

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        for machine in self.machines.values():
            self._halt(machine, "destroyed")
        shutil.rmtree(self.root)

    def alive(self) -> list[Json]:
        return [machine for machine in self.machines.values() if machine["state"] != "destroyed"]

    def limit(self, action: str, scope: str) -> None:
        have, since = self._buckets[action, scope]
        now = time.monotonic()
        have = min(3.0, have + now - since)
        self._buckets[action, scope] = (have - 1 if have >= 1 else have, now)
        if self.limited and have < 1:
            self.refused += 1
            raise RefuseError(429, "rate limit exceeded")

    def fault(self, action: str) -> str | None:
        what = next((what for one, what in self.faults if one == action), None)
        if what is not None:
            self.faults.remove((action, what))
        if what == "500":
            raise RefuseError(500, "internal error")
        if what == "capacity":
            raise RefuseError(412, "could not reserve resource: insufficient capacity")
        return what

    def create(self, app: str, body: Json) -> Json:
        self.limit("create", app)
        fault = self.fault("create")
        if any(machine["name"] == body["name"] for machine in self.alive()):
            raise RefuseError(409, f'already_exists: unique machine name violation: "{body["name"]}"')
        for mount in body["config"]["mounts"]:
            volume = self.volumes.get(mount["volume"])
            if volume is None or volume["attached_machine_id"]:
                raise RefuseError(412, "the volume is not there, or attached")
        identity = secrets.token_hex(7)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        machine = {
            "id": identity,
            "name": body["name"],
            "state": "created",
            "config": body["config"],
            "private_ip": "127.0.0.1",
            "created_at": stamp,
            "lease": ("", 0.0),
        }
        machine["config"]["env"]["MOBVIBE_PORT"] = str(pick_port())  # all machines have one address here
        self.machines[identity] = machine
        for mount in body["config"]["mounts"]:
            self.volumes[mount["volume"]]["attached_machine_id"] = identity
        self._boot(machine)
        if fault == "reply lost":
            raise ConnectionResetError
        return machine

    def _boot(self, machine: Json) -> None:
        """The files of its configuration and nothing else, its volume, and its command."""
        folder = self.root / machine["id"]
        shutil.rmtree(folder, ignore_errors=True)
        config = machine["config"]
        for file in config["files"]:
            path = folder / file["guest_path"].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(file["raw_value"]))
        data = self.root / config["mounts"][0]["volume"]
        data.mkdir(exist_ok=True)
        words = [word.replace("/opt/", f"{folder}/opt/") for word in config["init"]["cmd"]]
        env = {**config["env"], "MOBVIBE_WORKSPACES": str(data / "workspaces"), "PATH": os.environ["PATH"]}
        self._processes[machine["id"]] = subprocess.Popen([sys.executable, *words[1:]], env=env, start_new_session=True)
        machine["state"] = "started"

    def _halt(self, machine: Json, state: str) -> None:
        process = self._processes.pop(machine["id"], None)
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        machine["state"] = state

    def change(self, machine: Json, verb: str, body: Json, nonce: str | None) -> Json:
        held, until = machine["lease"]
        if until > time.monotonic() and verb != "metadata" and held != nonce:
            raise RefuseError(409, "the machine is leased")
        self.limit(verb, machine["id"])
        fault = self.fault(verb)
        match verb:
            case "start":
                if machine["state"] != "stopped":
                    raise RefuseError(412, f"unable to start machine from current state: '{machine['state']}'")
                self._boot(machine)
            case "stop":
                self._halt(machine, "stopped")
            case "release":
                machine["lease"] = ("", 0.0)
            case "delete":
                self._destroy(machine)
            case "lease":
                machine["lease"] = (secrets.token_hex(6), time.monotonic() + body["ttl"])
        if fault == "reply lost":
            raise ConnectionResetError
        return {"ok": True, "data": {"nonce": machine["lease"][0]}}

    def _destroy(self, machine: Json) -> None:
        self._halt(machine, "destroyed")
        for volume in self.volumes.values():
            if volume["attached_machine_id"] == machine["id"]:
                volume["attached_machine_id"] = None

    def make_volume(self, app: str, body: Json) -> Json:
        self.limit("volume", app)
        fault = self.fault("volume")
        identity = f"vol_{secrets.token_hex(6)}"
        self.volumes[identity] = {**body, "id": identity, "attached_machine_id": None, "created_at": str(time.time())}
        if fault == "reply lost":
            raise ConnectionResetError
        return self.volumes[identity]


class _Handler(BaseHTTPRequestHandler):
    server: FakeFly
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def _serve(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        parts = urlsplit(self.path)
        self.server.asked.append(f"{self.command} {parts.path}")
        try:
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                raise RefuseError(401, "token validation error")
            status, answer = 200, self._answer(parts.path, dict(parse_qsl(parts.query)), body)
        except RefuseError as refused:
            status, answer = refused.status, {"error": refused.error}
        except ConnectionResetError:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _answer(self, path: str, query: dict[str, str], body: Json) -> Any:
        found = re.fullmatch(r"/v1/apps/([\w-]+)/(machines|volumes)(?:/([\w-]+))?(?:/(\w+))?(?:/(\w+))?", path)
        if found is None or found[1] == "none":
            raise RefuseError(404, "app not found")
        app, kind, identity, verb, key = found.groups()
        with self.server.lock:
            if kind == "volumes":
                return self._volumes(app, identity, body)
            if identity is None:
                return self.server.create(app, body) if self.command == "POST" else self._list(query)
            machine = self.server.machines.get(identity)
            if machine is None or machine["state"] == "destroyed":
                raise RefuseError(404, "machine not found")
            if verb == "wait":
                return self._wait(machine, query)
            if verb == "metadata":
                machine["config"]["metadata"][key] = body["value"]
            if self.command == "DELETE":
                verb = "release" if verb == "lease" else "delete"
            return self.server.change(machine, str(verb), body, self.headers.get("fly-machine-lease-nonce"))

    def _volumes(self, app: str, identity: str | None, body: Json) -> Any:
        if self.command == "POST":
            return self.server.make_volume(app, body)
        if self.command == "DELETE":
            if identity not in self.server.volumes:
                raise RefuseError(404, "volume not found")
            if self.server.volumes[identity]["attached_machine_id"]:
                raise RefuseError(412, "the volume is attached")
            return self.server.volumes.pop(identity)
        return list(self.server.volumes.values())

    def _list(self, query: dict[str, str]) -> list[Json]:
        wanted = {name.removeprefix("metadata."): value for name, value in query.items()}
        return [one for one in self.server.alive() if wanted.items() <= one["config"]["metadata"].items()]

    def _wait(self, machine: Json, query: dict[str, str]) -> Json:
        if not 1 <= int(query["timeout"]) <= 60:
            raise RefuseError(400, "invalid_argument: timeout must be in [1s, 1m0s]")
        if machine["state"] != query["state"]:
            raise RefuseError(408, "deadline_exceeded")
        return {"ok": True}
