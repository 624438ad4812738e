"""What stands between the daemon and the commands where they share a container: another account, and the filter."""

import ctypes
import os

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38  # from <linux/prctl.h>
SECCOMP_MODE_FILTER = 2  # from <linux/seccomp.h>
RULE_BYTES = 8  # of a rule of the filter
LIBC = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("rules", ctypes.c_char_p))


def become(account: int, filter_: bytes) -> None:
    """Become the account for good, and obey the filter, in the process that becomes the command. Raises OSError."""
    os.setresgid(account, account, account)
    os.setresuid(account, account, account)
    program = _Program(len(filter_) // RULE_BYTES, filter_)
    for option, *values in ((PR_SET_NO_NEW_PRIVS, 1, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program))):
        if LIBC.prctl(option, *values, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "the kernel does not take the filter of system calls")
