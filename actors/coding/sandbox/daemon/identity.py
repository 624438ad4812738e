"""The account that the daemon and its commands run as: never root."""

import contextlib
import ctypes
import errno
import os

PR_SET_DUMPABLE = 4  # from <linux/prctl.h>
FIRST_TO_END = "1000"  # for the kernel when memory runs out: before the worker and the stores
CLONE_NEWNS = 0x20000  # from <linux/sched.h>
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000  # from <linux/mount.h>
PLACE = "/mnt"  # exists everywhere, and each account may pass through it
LIBC = ctypes.CDLL(None, use_errno=True)


def enter(user: int | None, folder: str) -> None:
    """Go into the folder, as an account that is not root. Nothing of this account may look into this process."""
    with (
        contextlib.suppress(PermissionError),  # in a container it was done before
        open("/proc/self/oom_score_adj", "w", encoding="utf-8") as file,
    ):
        file.write(FIRST_TO_END)
    os.chdir(folder if user is None else leave_root(user, folder))
    os.setresuid(-1, -1, os.getuid())  # in a container, commands have our effective account: they must not end us
    LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def leave_root(user: int, folder: str) -> str:
    """Become `user` for good. Returns where the folder is for them: above it there may be folders closed to others.

    The mount of it there is seen by this process and those that it starts, and ends with them.
    """
    _check(LIBC.unshare(CLONE_NEWNS))
    _check(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    _check(LIBC.mount(os.fsencode(folder), PLACE.encode(), None, MS_BIND, None))
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    return PLACE


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        hint = ": run the worker as an ordinary user" if code == errno.EPERM else ""
        raise OSError(code, f"root cannot mount here ({os.strerror(code)}){hint}")
