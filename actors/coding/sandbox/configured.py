"""The sandboxes that the settings ask for."""

import logging
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from actors.coding.sandbox.base import SandboxProvider, SandboxSetupError, Spec
from actors.coding.sandbox.local import LocalProvider

logger = logging.getLogger(__name__)


class SandboxSettings(Protocol):
    """Those of the bridge's settings that are about sandboxes."""

    @property
    def is_production(self) -> bool: ...
    @property
    def workspaces(self) -> Path: ...
    @property
    def sandbox_memory_mb(self) -> int: ...
    @property
    def sandbox_processes(self) -> int: ...
    @property
    def sandbox_file_mb(self) -> int: ...
    @property
    def sandbox_disk_mb(self) -> int: ...
    @property
    def sandbox_hosts(self) -> tuple[str, ...]: ...
    @property
    def sandbox(self) -> str: ...
    @property
    def sandbox_image(self) -> str: ...
    @property
    def sandbox_max(self) -> int: ...
    @property
    def fly_api_token(self) -> SecretStr | None: ...
    @property
    def fly_app(self) -> str: ...
    @property
    def fly_region(self) -> str: ...


def provider_of(settings: SandboxSettings, installation: str = "") -> SandboxProvider:
    """The sandboxes of this machine, of a container engine, or of Fly.

    `installation`: the mark of the database. Where others use the engine or the app, too, only what carries it is ours.
    Empty to see whether there can be sandboxes.

    In development, if there can be none on this machine, commands run without walls, with a warning. Raises
    SandboxSetupError otherwise.
    """
    if settings.sandbox == "docker":
        return _docker(settings, installation)
    return _fly(settings, installation) if settings.sandbox == "fly" else _local(settings)


def _docker(settings: SandboxSettings, installation: str) -> SandboxProvider:
    from actors.coding.sandbox.docker.provider import DockerProvider  # noqa: PLC0415 -- few deployments need it

    if not settings.sandbox_image:
        raise SandboxSetupError("SANDBOX=docker needs SANDBOX_IMAGE: see docs/how-to/docker-sandboxes.md")
    provider = DockerProvider(image=settings.sandbox_image, installation=installation)
    provider.check()
    return provider


def _fly(settings: SandboxSettings, installation: str) -> SandboxProvider:
    from actors.coding.sandbox.fly.api import FlyApi  # noqa: PLC0415 -- few deployments need it
    from actors.coding.sandbox.fly.provider import FlyProvider  # noqa: PLC0415

    token = settings.fly_api_token.get_secret_value() if settings.fly_api_token else ""
    needed = {"FLY_API_TOKEN": token, "FLY_APP": settings.fly_app, "SANDBOX_IMAGE": settings.sandbox_image}
    missing = ", ".join(name for name, value in needed.items() if not value)
    if missing:
        raise SandboxSetupError(f"SANDBOX=fly needs {missing}: see docs/how-to/fly-machines.md")
    return FlyProvider(
        FlyApi(settings.fly_app, token),
        installation=installation,
        token=token,
        image=settings.sandbox_image,
        region=settings.fly_region,
        most=settings.sandbox_max,
    )


def _local(settings: SandboxSettings) -> SandboxProvider:
    provider = LocalProvider(settings.workspaces)
    try:
        provider.check()
    except SandboxSetupError as error:
        if settings.is_production:
            raise
        logger.warning("Commands of coding sessions run without a sandbox, in this account: %s", error)
        return LocalProvider(settings.workspaces, is_confined=False)
    return provider


def spec_of(settings: SandboxSettings) -> Spec:
    return Spec(
        memory_mb=settings.sandbox_memory_mb,
        processes=settings.sandbox_processes,
        file_mb=settings.sandbox_file_mb,
        disk_mb=settings.sandbox_disk_mb,
        allowed_hosts=settings.sandbox_hosts,
    )
