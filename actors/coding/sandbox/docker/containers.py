"""What the container of a session is made with, and what is started in it."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from actors.coding.sandbox.base import Spec
from actors.coding.sandbox.bubblewrap import HOME
from actors.coding.sandbox.container import STATE, WORKSPACE
from actors.coding.sandbox.daemon.calls import RUNNING
from actors.coding.sandbox.folders import account_of
from actors.coding.sandbox.programs import MAIN, programs

INSTALLATION, SESSION = "mobvibe.installation", "mobvibe.session"
KEEPER = 65533  # the account of our own programs in all containers: nobody's, and none of a session's
FILES = 4096  # may be open in a process: compilers need some hundred
OWN_PROCESSES = 32  # in a container: init, the host with its threads, the daemon, what counts the drive
OWN_MB = 256  # for these
_PROCESSES_OF_A_CALL = 4  # the warden's, beside those of its command
_TMP_SHARE = 2  # as with bubblewrap: /tmp and /dev/shm may hold so much of the memory of a command each
_WRITABLE = (WORKSPACE, HOME, "/tmp", "/dev/shm")  # noqa: S108 -- for commands of a session
# The first program of a container: it waits, and is not root.
_WAITS = f"import os, signal; os.setgroups([]); os.setgid({KEEPER}); os.setuid({KEEPER}); signal.pause()"
_MODE, _CLOSED_MODE = 0o700, 0o770  # of new volumes. The keeper's group opens its own one
# CHOWN for new volumes, the others to become another account: see boot.py, after which nobody has them any more. What
# is started in a container has none of them unless its user is root.
_CAPABILITIES = ("CHOWN", "SETUID", "SETGID")


def name_of(session_id: UUID, installation: str) -> str:
    """The same for each attempt: the engine makes no second container of a name."""
    return f"mobvibe-{hashlib.sha256(installation.encode()).hexdigest()[:8]}-{session_id.hex}"


def options(session_id: UUID, installation: str, spec: Spec, image: str) -> list[str]:
    """Of `docker create`. It has no network, whatever the spec says: see relay.py for the way out."""
    tmp_mb = max(1, spec.memory_mb // _TMP_SHARE)
    memory = f"{2 * spec.memory_mb + OWN_MB}m"  # as machines of Fly: /tmp and /dev/shm are memory, too
    processes = RUNNING * (spec.processes + _PROCESSES_OF_A_CALL) + OWN_PROCESSES
    volumes = [["--mount", f"type=volume,destination={place}"] for place, _, _ in _places(session_id)]
    parts = [
        ["--name", name_of(session_id, installation), "--hostname", "sandbox", "--pull", "never"],
        ["--label", f"{INSTALLATION}={installation}", "--label", f"{SESSION}={session_id}"],
        ["--network", "none", "--ipc", "private", "--read-only", "--init", "--no-healthcheck", "--log-driver", "none"],
        ["--cap-drop", "ALL", *(f"--cap-add={name}" for name in _CAPABILITIES)],
        ["--security-opt", "no-new-privileges", "--user", "0:0"],
        ["--memory", memory, "--memory-swap", memory, "--pids-limit", str(processes)],
        ["--ulimit", f"nofile={FILES}:{FILES}", "--ulimit", "core=0:0"],
        ["--tmpfs", f"/tmp:rw,exec,nosuid,nodev,mode=1777,size={tmp_mb}m", "--shm-size", f"{tmp_mb}m"],  # noqa: S108
        *volumes,
        ["--workdir", "/", "--entrypoint", "python3", image, "-I", "-S", "-c", _WAITS],
    ]
    return [option for part in parts for option in part]


def unsafe_place(variables: Sequence[str]) -> str | None:
    """Where in an image's PATH commands could put a `python3` that is found before the image's, and run as root."""
    found = next((text.removeprefix("PATH=") for text in variables if text.startswith("PATH=")), "")
    writable = [_is_writable(place) for place in found.split(":")]
    first = writable.index(True) if True in writable else len(writable)
    return (found.split(":")[first] or "an empty part") if False in writable[first:] else None


def _is_writable(place: str) -> bool:
    """Whether commands may write to it, or it is none of the image's."""
    path = os.path.normpath(place)
    return not path.startswith("/") or any(f"{path}/".startswith(f"{one}/") for one in _WRITABLE)


def program(name: str) -> list[str]:
    """Arguments of docker that start our program in the container: see boot.py."""
    return ["exec", "--interactive", "--user", "0:0", name, "python3", "-I", "-S", "-c", _boot()]


def boot(session_id: UUID, *, proxied: bool) -> Mapping[str, Any]:
    """What boot.py takes, but for the programs."""
    return {
        "account": account_of(session_id),
        "keeper": KEEPER,
        "places": _places(session_id),
        "folder": str(STATE),
        "version": _version(),
        "main": MAIN,
        "arguments": ["container", str(session_id), "proxied" if proxied else "alone"],
    }


def fence_of(session_id: UUID) -> str:
    """The file with the latest attempt. It is written when an attempt begins, and touched when it ends."""
    return f"{STATE}/{session_id}/fence"


def _places(session_id: UUID) -> list[tuple[str, int, int]]:
    """The volumes: where, whose, and with which mode. They have no names, and go with the container."""
    account = account_of(session_id)
    return [(WORKSPACE, account, _MODE), (HOME, account, _MODE), (str(STATE), KEEPER, _CLOSED_MODE)]


@cache
def _boot() -> str:
    return Path(__file__).with_name("boot.py").read_text()


@cache
def _version() -> str:
    return hashlib.sha256(repr(programs()).encode()).hexdigest()[:16]
