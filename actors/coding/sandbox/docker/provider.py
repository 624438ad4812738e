"""A container for each session, found by its name, with volumes that go with it."""

import contextlib
import io
import json
import logging
import tarfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from actors.coding.sandbox.base import CallRefusedError, SandboxError, SandboxInfo, SandboxSetupError, Spec
from actors.coding.sandbox.client import DaemonSandbox
from actors.coding.sandbox.docker import containers
from actors.coding.sandbox.docker.command import UNCLEAR, DockerError, docker, labels, path
from actors.coding.sandbox.docker.link import Link

logger = logging.getLogger(__name__)

READY_SECONDS = 30.0  # for the container to run: others may make, stop or remove it meanwhile
LOOK_SECONDS = 0.2  # between two looks at it
TRIES = 3  # while answers get lost
STOP_SECONDS = 0  # until it is killed: what runs inside has nothing to finish, and init may not signal it
_GONE = ("no such container", "no container with name or id", "no such object")
_BUSY = ("already in use", "in progress", "marked for removal", "is being removed", "stopping")
_NO_IMAGE = ("no such image", "image not known", "unable to find image")

Json = dict[str, Any]


class DockerProvider:
    name = "docker"

    def __init__(self, *, image: str, installation: str) -> None:
        """`installation`: containers of others on the same engine are not ours."""
        self._image = image
        self._installation = installation
        self._links: dict[UUID, Link] = {}
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raises SandboxSetupError: no docker, no engine, no image, or one with an unfit PATH."""
        try:
            config = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", self._image))
        except DockerError as error:
            raise self._no_image() if error.is_about(*_NO_IMAGE) else SandboxSetupError(str(error)) from None
        if place := containers.unsafe_place((config or {}).get("Env") or ()):
            raise SandboxSetupError(
                f"the PATH of the image {self._image} (SANDBOX_IMAGE) has {place}, where commands may put a python3 of "
                "their own, before other places: put it at the end"
            )

    def obtain(self, session_id: UUID, fence: int, spec: Spec) -> DaemonSandbox:
        """See SandboxProvider.obtain. A new container takes a second, one that runs a third of it."""
        self._bring_up(session_id, spec)
        link = self._reach(session_id, fence, spec)

        def check_ours() -> None:
            latest = self._latest(session_id)
            if latest is not None and fence < latest[0]:
                raise CallRefusedError(f"the sandbox belongs to attempt {latest[0]}, this is attempt {fence}")

        def leave() -> None:
            with contextlib.suppress(SandboxError):
                sandbox.stop()
                self._leave(session_id)

        sandbox = DaemonSandbox(fence, lambda: link.connect(session_id, fence), check_ours, leave)
        return sandbox

    def list(self) -> Sequence[SandboxInfo]:
        ids = docker("ps", "--all", "--quiet", *labels({containers.INSTALLATION: self._installation})).decode().split()
        infos = [self._info(UUID(found["Config"]["Labels"][containers.SESSION]), found) for found in _inspect(*ids)]
        return [info for info in infos if info is not None]

    def stop(self, session_id: UUID) -> None:
        self._end(session_id, "stop", "--time", str(STOP_SECONDS))

    def destroy(self, session_id: UUID) -> None:
        self._end(session_id, "rm", "--force", "--volumes")

    def _name(self, session_id: UUID) -> str:
        return containers.name_of(session_id, self._installation)

    def _bring_up(self, session_id: UUID, spec: Spec) -> None:
        """One container, that runs: others may have made it, or an attempt that never heard so."""
        name = self._name(session_id)

        def make_and_start() -> None:
            found = next(iter(_inspect(name)), None)
            if found is None:
                docker("create", *containers.options(session_id, self._installation, spec, spec.image or self._image))
            if found is None or not found["State"]["Running"]:
                docker("start", name)

        try:
            _until_done(make_and_start)
        except DockerError as error:
            raise self._no_image() if error.is_about(*_NO_IMAGE) else error from None

    def _reach(self, session_id: UUID, fence: int, spec: Spec) -> Link:
        """Obtain the sandbox from the host in the container: by the link that this process has, or by a new one."""
        link = self._links.get(session_id)
        if link is not None:
            with contextlib.suppress(OSError):
                link.connect(session_id, fence, spec).close()
                return link
            self._leave(session_id)
        link = self._link(session_id, spec)
        try:
            link.connect(session_id, fence, spec).close()
        except OSError:
            self._leave(session_id)
            raise link.error() from None
        return link

    def _link(self, session_id: UUID, spec: Spec) -> Link:
        with self._lock:
            if session_id not in self._links:
                command = [path(), *containers.program(self._name(session_id))]
                boot = containers.boot(session_id, proxied=bool(spec.allowed_hosts))
                self._links[session_id] = Link(command, boot, spec.allowed_hosts)
            return self._links[session_id]

    def _leave(self, session_id: UUID) -> None:
        """End all that this process has running in the container."""
        with self._lock:
            link = self._links.pop(session_id, None)
        if link is not None:
            link.close()

    def _no_image(self) -> SandboxSetupError:
        return SandboxSetupError(f"the engine has no image {self._image} (SANDBOX_IMAGE): docker pull {self._image}")

    def _end(self, session_id: UUID, *arguments: str) -> None:
        """Stop or remove a container, unless it is gone, and leave it."""

        def end() -> None:
            if _inspect(self._name(session_id)):
                docker(*arguments, self._name(session_id))

        _until_done(end)
        self._leave(session_id)

    def _info(self, session_id: UUID, found: Json) -> SandboxInfo | None:
        """None: it was removed meanwhile."""
        made_at = datetime.fromisoformat(found["Created"][:19]).replace(tzinfo=UTC)  # podman has other fractions
        fence, used_at = self._latest(session_id) or (0, made_at)
        return SandboxInfo(session_id, found["Name"].lstrip("/"), fence, used_at, found["State"]["Running"])

    def _latest(self, session_id: UUID) -> tuple[int, datetime] | None:
        """The latest attempt, and when it was there. None: there was none, or the container is gone."""
        try:
            packed = docker("cp", f"{self._name(session_id)}:{containers.fence_of(session_id)}", "-")
        except DockerError as error:
            if error.is_about(*_GONE, "could not find the file", "no such file"):
                return None
            raise
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            member = archive.getmembers()[0]
            text = archive.extractfile(member)
            assert text is not None
            return int(text.read()), datetime.fromtimestamp(member.mtime, UTC)


def _until_done(step: Callable[[], None]) -> None:
    """Once more while others make, stop or remove the container, and when an answer got lost."""
    deadline, tries_left = time.monotonic() + READY_SECONDS, TRIES
    while True:
        try:
            step()
            return
        except DockerError as error:
            tries_left -= error.is_about(UNCLEAR)
            is_over = time.monotonic() > deadline or tries_left == 0
            if is_over or not error.is_about(UNCLEAR, *_GONE, *_BUSY):
                raise
        time.sleep(LOOK_SECONDS)


def _inspect(*names: str) -> Sequence[Json]:
    """What the engine knows of containers. Those that are gone are left out."""
    if not names:
        return []
    try:
        found: Sequence[Json] = json.loads(docker("container", "inspect", *names))
    except DockerError as error:
        if not error.is_about(*_GONE):
            raise
        return [one for name in names for one in _inspect(name)] if len(names) > 1 else []
    return found
