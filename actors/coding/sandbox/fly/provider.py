"""A machine of Fly for each session, found by its name, with a volume that outlives its stops."""

import contextlib
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from actors.coding.sandbox.base import SandboxError, SandboxInfo, SandboxSetupError, Spec
from actors.coding.sandbox.client import DaemonSandbox
from actors.coding.sandbox.fly import machine as machines
from actors.coding.sandbox.fly.api import FlyApi, FlyError
from actors.coding.sandbox.hello import introduce

CONNECT_SECONDS = 10.0  # on a private network it takes milliseconds
BOOT_SECONDS = 60.0  # for the host, after the machine has started: its image may have to be unpacked
LOOK_SECONDS = 0.2  # between two tries to reach it
LEASE_SECONDS = 60  # for a stop and what follows
TRIES = 3  # to make a machine while answers get lost
CONFLICT, PRECONDITION, UNAUTHORIZED = 409, 412, (401, 403)  # of HTTP
RUNNING = {"created", "starting", "started", "stopping"}

Json = dict[str, Any]


class FlyProvider:
    name = "fly"

    def __init__(self, api: FlyApi, *, installation: str, token: str, image: str, region: str, most: int) -> None:
        """`token` is the API's: those of machines come from it. `most`: machines of all sessions, stopped ones too.

        `installation`: machines and volumes of others in the same app are not ours.
        """
        self._api = api
        self._installation = installation
        self._token = token
        self._image = image
        self._region = region
        self._most = most

    def check(self) -> None:
        """Raises SandboxSetupError: the token is refused, or there is no such app."""
        try:
            self._all()
        except FlyError as error:
            if error.status in {*UNAUTHORIZED, 404}:
                raise SandboxSetupError(f"{error}: check FLY_API_TOKEN and FLY_APP") from None
            raise

    def obtain(self, session_id: UUID, fence: int, spec: Spec) -> DaemonSandbox:
        """See SandboxProvider.obtain. A new machine takes some seconds, a stopped one about one."""
        machine = self._find(session_id) or self._make(session_id, spec)
        if machine["state"] != "started":
            self._api.start(machine["id"])
            self._api.wait(machine["id"], "started")
        self._reach(machine, session_id, fence, spec)
        self._mark(machine, fence)

        def connect() -> socket.socket:
            return self._connect(machine, session_id, fence, None)

        def check_ours() -> None:
            with contextlib.suppress(OSError, FlyError):
                connect().close()

        def leave() -> None:
            with contextlib.suppress(SandboxError):
                sandbox.stop()
                self._mark(machine, fence)

        sandbox = DaemonSandbox(fence, connect, check_ours, leave)
        return sandbox

    def list(self) -> Sequence[SandboxInfo]:
        return [_info(machine) for machine in self._all()]

    def stop(self, session_id: UUID) -> None:
        machine = self._find(session_id)
        if machine is not None and machine["state"] in RUNNING:
            nonce = self._api.lease(machine["id"], LEASE_SECONDS)
            self._api.stop(machine["id"], nonce)
            self._api.wait(machine["id"], "stopped")
            self._api.release(machine["id"], nonce)

    def destroy(self, session_id: UUID) -> None:
        machine = self._find(session_id)
        if machine is not None:
            self._api.destroy(machine["id"], self._api.lease(machine["id"], LEASE_SECONDS))
        self._remove_volumes(session_id)

    def _all(self) -> Sequence[Json]:
        return self._api.machines(machines.ours(self._installation))

    def _find(self, session_id: UUID) -> Json | None:
        found = self._api.machines({machines.SESSION: str(session_id)})
        name = machines.name_of(session_id, self._installation)
        return next((one for one in found if one["name"] == name), None)

    def _make(self, session_id: UUID, spec: Spec) -> Json:
        """A machine, once: its name is taken when another attempt, or a request without an answer, has made it."""
        if len(self._all()) >= self._most:
            raise SandboxError(f"there are {self._most} machines already (SANDBOX_MAX)")
        token = machines.token_of(session_id, self._token)
        for tries_left in reversed(range(TRIES)):
            volume = self._volume(session_id, spec)
            body = machines.body_of(
                session_id,
                self._installation,
                spec,
                volume=volume,
                image=self._image,
                region=self._region,
                token=token,
            )
            try:
                made = self._api.create(body)
                break
            except FlyError as error:
                made_before = self._find(session_id)
                if made_before is not None:
                    made = made_before
                    break
                if not tries_left or not (error.is_unclear or error.status in {CONFLICT, PRECONDITION}):
                    raise
        self._remove_volumes(session_id, but=made["config"]["mounts"][0]["volume"])
        return made

    def _volume(self, session_id: UUID, spec: Spec) -> str:
        """The oldest one of the session, or a new one. Two may be made at once: `_remove_volumes` takes the spare."""
        found = self._volumes(session_id)
        if found:
            return str(min(found, key=lambda volume: (volume["created_at"], volume["id"]))["id"])
        try:
            return str(
                self._api.create_volume(machines.volume_of(session_id, self._installation, spec, self._region))["id"]
            )
        except FlyError as error:
            found = self._volumes(session_id)
            if not error.is_unclear or not found:
                raise
            return str(found[0]["id"])

    def _volumes(self, session_id: UUID) -> Sequence[Json]:
        name = machines.volume_name_of(session_id, self._installation)
        return [one for one in self._api.volumes() if one["name"] == name]

    def _remove_volumes(self, session_id: UUID, but: str | None = None) -> None:
        for volume in self._volumes(session_id):
            if volume["id"] != but and not volume["attached_machine_id"]:
                self._api.destroy_volume(volume["id"])

    def _reach(self, machine: Json, session_id: UUID, fence: int, spec: Spec) -> None:
        """Let the host obtain the sandbox. It listens some time after the machine has started."""
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            try:
                self._connect(machine, session_id, fence, spec).close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise SandboxError(f"machine {machine['id']} does not answer ({error})") from error
            time.sleep(LOOK_SECONDS)

    def _connect(self, machine: Json, session_id: UUID, fence: int, spec: Spec | None) -> socket.socket:
        """A connection to the daemon, through the host. Raises OSError, SandboxError, CallRefusedError."""
        port = int(machine["config"]["env"]["MOBVIBE_PORT"])
        connection = socket.create_connection((machine["private_ip"], port), CONNECT_SECONDS)
        try:
            introduce(connection, session_id, fence, spec, token=machines.token_of(session_id, self._token))
        except BaseException:
            connection.close()
            raise
        return connection

    def _mark(self, machine: Json, fence: int) -> None:
        """For `list`: which attempt used it last, and when."""
        self._api.mark(machine["id"], machines.USED, f"{fence} {datetime.now(UTC).isoformat()}")


def _info(machine: Json) -> SandboxInfo:
    metadata = machine["config"].get("metadata") or {}
    fence, _, used_at = metadata.get(machines.USED, f"0 {machine['created_at']}").partition(" ")
    return SandboxInfo(
        session_id=UUID(metadata[machines.SESSION]),
        name=machine["id"],
        fence=int(fence),
        used_at=datetime.fromisoformat(used_at),
        is_running=machine["state"] in RUNNING,
    )
