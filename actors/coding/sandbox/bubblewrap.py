"""How bubblewrap is called, and whether it works here."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

from actors.coding.sandbox import seccomp
from actors.coding.sandbox.base import SandboxSetupError, Spec

HOME = "/home/agent"
USER_INSIDE = "1000"  # as the first user of a machine: programs that refuse to run as root work
VARIABLES = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": HOME,
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "USER": "agent",
}
_TMP_SHARE = 2  # /tmp, and /dev/shm, may hold memory_mb divided by this: they are memory, which nothing else counts
_TRIAL_SECONDS = 10.0  # for `true` in a sandbox: much longer than the slowest machine takes
_MB = 1024 * 1024  # bytes
_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What programs need of /etc: loading libraries, trusting certificates, the time zone. None of it is secret.
_ETC = ("alternatives", "ld.so.cache", "localtime", "ssl/certs", "ssl/openssl.cnf", "pki/tls/certs", "pki/ca-trust")
# Why the kernel may refuse: the setting, the value with which it does, and what to do.
_REFUSALS = (
    ("kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
)


def arguments(spec: Spec) -> list[str]:
    """The options of each command. Paths of the sandbox are relative to its folder, where bubblewrap is started."""
    size = str(spec.memory_mb * _MB // _TMP_SHARE)
    files = [["--ro-bind", f"etc/{name}", f"/etc/{name}"] for name in ("passwd", "group", "hosts", "nsswitch.conf")]
    parts = [
        *_namespaces(),
        ["--ro-bind", "/usr", "/usr"],
        *_system_folders(),
        *(["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"] for name in _ETC),
        *files,
        ["--proc", "/proc", "--dev", "/dev"],
        ["--size", size, "--tmpfs", "/dev/shm", "--size", size, "--tmpfs", "/tmp"],  # noqa: S108 - inside the sandbox
        ["--bind", "workspace", "/workspace", "--bind", "home", HOME],
        ["--remount-ro", "/dev", "--remount-ro", "/"],  # they would be memory without a limit
    ]
    return [argument for part in parts for argument in part]


def _namespaces() -> list[list[str]]:
    return [
        ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--clearenv"],
        ["--uid", USER_INSIDE, "--gid", USER_INSIDE, "--cap-drop", "ALL", "--hostname", "sandbox"],
        ["--disable-userns"] if "--disable-userns" in _help() else [],  # since 0.8; the filter of calls does it, too
    ]


def _system_folders() -> list[list[str]]:
    found = []
    for name in _LINKS:
        folder = Path("/", name)
        if folder.is_symlink():
            found.append(["--symlink", str(folder.readlink()), f"/{name}"])
        elif folder.is_dir():
            found.append(["--ro-bind", f"/{name}", f"/{name}"])
    return found


def path() -> str:
    """Where bubblewrap is. Raises SandboxSetupError."""
    found = shutil.which("bwrap", path=os.environ.get("PATH", os.defpath))
    if found is None:
        raise SandboxSetupError(
            "bubblewrap, which sandboxes of this machine need, is not installed: apt-get install bubblewrap"
        )
    return os.path.realpath(found)


@functools.cache
def _help() -> str:
    return subprocess.run([path(), "--help"], capture_output=True, text=True, check=False).stdout


def check(user: int | None) -> None:
    """Raises SandboxSetupError when no sandbox can be started here. `user`: as whom root starts them."""
    if not seccomp.is_known():
        raise SandboxSetupError(f"sandboxes of this machine need x86_64 or aarch64, and it is {os.uname().machine}")
    trial = [path(), "--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    try:
        ended = subprocess.run(
            [*trial, "--uid", USER_INSIDE, "true"],
            capture_output=True,
            text=True,
            timeout=_TRIAL_SECONDS,
            check=False,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            cwd="/",
        )
    except OSError as error:
        raise SandboxSetupError(
            f"root cannot become account {user} here ({error}): run the worker as another user"
        ) from error
    if ended.returncode != 0:
        problem = (ended.stderr.strip().splitlines() or ["bwrap failed"])[-1]
        raise SandboxSetupError(f"no sandbox can be started here ({problem}): {_advice()}")


def _advice() -> str:
    for name, value, change in _REFUSALS:
        setting = Path("/proc/sys", name)
        if setting.exists() and setting.read_text().strip() == value:
            return f"as root, {change}"
    return "user namespaces must be allowed; in a container, by its seccomp and AppArmor profiles"
