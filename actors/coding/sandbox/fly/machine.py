"""What a machine of Fly is made with: an image with Python and bubblewrap. Our programs come with its configuration."""

import base64
import hashlib
import hmac
from typing import Any
from uuid import UUID

from actors.coding.sandbox.base import Spec
from actors.coding.sandbox.programs import MAIN, programs

PORT = 8042  # of the host, on the private network
PLACE = "/opt/mobvibe"
DATA = "/data"  # where the volume is: all else of a machine is as new after each start
INSTALLATION = "mobvibe_installation"
SESSION = "mobvibe_session"
USED = "mobvibe_used"
_MEMORY_MB = 256  # machines have a multiple of it
_SYSTEM_MB = 256  # of a machine for itself and the host
_GB_MB = 1024  # megabytes

Json = dict[str, Any]


def ours(installation: str) -> dict[str, str]:
    """The metadata of all machines of an installation."""
    return {INSTALLATION: hashlib.sha256(installation.encode()).hexdigest()[:16]}


def name_of(session_id: UUID, installation: str) -> str:
    """The same for each attempt: the API makes no second machine of a name."""
    return f"mobvibe-{ours(installation)[INSTALLATION][:8]}-{session_id.hex}"


def volume_name_of(session_id: UUID, installation: str) -> str:
    """Of at most 30 letters and digits. Several volumes may have one name: see FlyProvider."""
    return f"mv_{hashlib.sha256(session_id.bytes + installation.encode()).hexdigest()[:24]}"


def token_of(session_id: UUID, api_token: str) -> str:
    """What the host of a machine asks for. It tells nothing of the API's token."""
    return hmac.new(api_token.encode(), f"mobvibe sandbox {session_id}".encode(), "sha256").hexdigest()


def body_of(
    session_id: UUID, installation: str, spec: Spec, *, volume: str, image: str, region: str, token: str
) -> Json:
    """The request that makes the machine. Memory is twice that of a command: /tmp and /dev/shm are memory, too."""
    wanted = 2 * spec.memory_mb + _SYSTEM_MB
    return {
        "name": name_of(session_id, installation),
        **_place(region),
        "config": {
            "image": spec.image or image,
            "init": {"cmd": ["python3", "-I", "-S", f"{PLACE}/{MAIN}", "host"]},
            "env": {"MOBVIBE_WORKSPACES": f"{DATA}/workspaces", "MOBVIBE_PORT": str(PORT), "MOBVIBE_TOKEN": token},
            "files": [{"guest_path": f"{PLACE}/{path}", "raw_value": text} for path, text in _encoded()],
            "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": -(-wanted // _MEMORY_MB) * _MEMORY_MB},
            "mounts": [{"volume": volume, "path": DATA}],
            "metadata": {**ours(installation), SESSION: str(session_id)},
            "restart": {"policy": "on-failure"},
            "auto_destroy": False,
        },
    }


def volume_of(session_id: UUID, installation: str, spec: Spec, region: str) -> Json:
    size_gb = max(1, -(-spec.disk_mb // _GB_MB))
    return {"name": volume_name_of(session_id, installation), "size_gb": size_gb, **_place(region)}


def _place(region: str) -> Json:
    """Without a region the API takes one near to us."""
    return {"region": region} if region else {}


def _encoded() -> list[tuple[str, str]]:
    """Path and content of each program that runs in the machine."""
    return [(path, base64.b64encode(text.encode()).decode()) for path, text in programs().items()]
