"""A command becomes another account, and obeys the filter: tried in a process that can do so."""

import errno
import os
import socket

import pytest

from actors.coding.sandbox import seccomp
from actors.coding.sandbox.daemon.account import become

ACCOUNT = 61184


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another account")
def test_it_is_another_account_for_good_and_the_filter_holds() -> None:
    told, tell = os.pipe()
    if os.fork() == 0:
        try:
            os.setgroups([])
            become(ACCOUNT, seccomp.program())
            os.write(tell, repr((os.getresuid(), os.getresgid(), _can_become_root(), _error_of_vsock())).encode())
        finally:
            os._exit(0)
    os.close(tell)
    os.wait()

    expected = ((ACCOUNT,) * 3, (ACCOUNT,) * 3, False, errno.EAFNOSUPPORT)
    assert os.read(told, 1000).decode() == repr(expected)
    os.close(told)


def _can_become_root() -> bool:
    try:
        os.setuid(0)
    except PermissionError:
        return False
    return True


def _error_of_vsock() -> int | None:
    try:
        socket.socket(socket.AF_VSOCK).close()
    except OSError as error:
        return error.errno
    return None
