"""A filter of system calls for what runs in a sandbox: the ways into the kernel that coding needs least.

The namespaces hold without it. It takes away what had most of the kernel's faults (io_uring, bpf, keys, user
namespaces), what namespaces do not cover (VSOCK reaches the host of a virtual machine; terminal input), and memory that
no limit counts (memfd, large System V segments, message queues).
"""

import errno
import platform
import struct
from collections.abc import Sequence

_LOAD, _EQUAL, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06  # from <linux/bpf_common.h>
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000  # from <linux/seccomp.h>
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x3FFFFFFF  # above it are the calls of the x32 ABI, which would pass by their other numbers
_NEW_USER = 0x10000000  # CLONE_NEWUSER
_SHARED_BYTES = 65536  # of a System V segment: databases lock with small ones
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_NETLINK = 16  # with protocol 0 (routes) it lists interfaces and addresses

# The numbers of calls on each machine. The newer ones are the same everywhere.
_EVERYWHERE = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435, "mount_setattr": 442,
    "quotactl_fd": 443, "memfd_secret": 447,
}  # fmt: skip
_MACHINES: dict[str, tuple[int, dict[str, int], dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "msgget": 68, "pivot_root": 155, "acct": 163, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168,
            "reboot": 169, "iopl": 172, "ioperm": 173, "init_module": 175, "delete_module": 176, "quotactl": 179,
            "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "perf_event_open": 298,
            "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304, "setns": 308, "finit_module": 313,
            "memfd_create": 319, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323, "syslog": 103,
        },
        {"clone": 56, "unshare": 272, "ioctl": 16, "socket": 41, "socketpair": 53, "shmget": 29},
    ),
    "aarch64": (
        0xC00000B7,
        {
            "msgget": 186, "pivot_root": 41, "acct": 89, "mount": 40, "umount2": 39, "swapon": 224, "swapoff": 225,
            "reboot": 142, "init_module": 105, "delete_module": 106, "quotactl": 60, "kexec_load": 104, "add_key": 217,
            "request_key": 218, "keyctl": 219, "perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264,
            "open_by_handle_at": 265, "setns": 268, "finit_module": 273, "memfd_create": 279, "kexec_file_load": 294,
            "bpf": 280, "userfaultfd": 282, "syslog": 116,
        },
        {"clone": 220, "unshare": 97, "ioctl": 29, "socket": 198, "socketpair": 199, "shmget": 194},
    ),
}  # fmt: skip


def is_known(machine: str = platform.machine()) -> bool:
    """Whether there is a filter for this kind of machine."""
    return machine in _MACHINES


def program(machine: str = platform.machine()) -> bytes:
    """The filter as the kernel takes it: an array of struct sock_filter."""
    architecture, refused, looked_at = _MACHINES[machine]
    rules = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, architecture, skip_if_true=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
        *_refuse_if(_GREATER, _X32, errno.ENOSYS),
    ]
    for number in sorted({**refused, **_EVERYWHERE}.values()):
        # As a kernel without the call would say it: libraries then do without.
        rules += _refuse_if(_EQUAL, number, errno.ENOSYS)
    for name, number in looked_at.items():
        block = [*_ARGUMENT_RULES[name], _instruction(_RETURN, _ALLOW)]
        rules += [_instruction(_EQUAL, number, skip_if_false=len(block)), *block]
    return b"".join([*rules, _instruction(_RETURN, _ALLOW)])


def _instruction(code: int, value: int, *, skip_if_true: int = 0, skip_if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, skip_if_true, skip_if_false, value)


def _argument(number: int, *, high: bool = False) -> bytes:
    return _instruction(_LOAD, _ARGUMENTS + 8 * number + (4 if high else 0))


def _refuse_if(code: int, value: int, error: int) -> list[bytes]:
    return [_instruction(code, value, skip_if_false=1), _instruction(_RETURN, _ERRNO | error)]


def _only_families() -> Sequence[bytes]:
    allowed = [
        rule
        for family in _FAMILIES
        for rule in (_instruction(_EQUAL, family, skip_if_false=1), _instruction(_RETURN, _ALLOW))
    ]
    netlink = [
        _instruction(_EQUAL, _NETLINK, skip_if_false=3),
        _argument(2),
        _instruction(_EQUAL, 0, skip_if_false=1),
        _instruction(_RETURN, _ALLOW),
    ]
    return [_argument(0), *allowed, *netlink, _instruction(_RETURN, _ERRNO | errno.EAFNOSUPPORT)]


_ARGUMENT_RULES: dict[str, Sequence[bytes]] = {
    "clone": [_argument(0), *_refuse_if(_ANY_BIT, _NEW_USER, errno.EPERM)],
    "unshare": [_argument(0), *_refuse_if(_ANY_BIT, _NEW_USER, errno.EPERM)],
    "ioctl": [_argument(1), *(rule for code in _TERMINAL_INPUT for rule in _refuse_if(_EQUAL, code, errno.EPERM))],
    "socket": _only_families(),
    "socketpair": _only_families(),
    "shmget": [
        *(_argument(1, high=True), *_refuse_if(_GREATER, 0, errno.ENOSPC)),
        *(_argument(1), *_refuse_if(_GREATER, _SHARED_BYTES, errno.ENOSPC)),
    ],
}
