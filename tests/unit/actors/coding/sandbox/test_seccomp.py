"""The filter of system calls, read as the kernel reads it. test_escapes.py tries the one of this machine for real."""

import errno
import struct

import pytest

from actors.coding.sandbox import seccomp

ALLOW, KILL = 0x7FFF0000, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = sorted(ARCHITECTURES)
FLAGS = 0x10000000


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the program of a machine says to a call: it is run, instruction by instruction."""
    data = struct.pack(
        "=iIQ6Q", number, architecture or ARCHITECTURES[machine], 0, *(*arguments, *[0] * (6 - len(arguments)))
    )
    program = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        match code:
            case 0x20:
                loaded = struct.unpack_from("=I", data, value)[0]
            case 0x06:
                return int(value)
            case 0x15 | 0x25 | 0x45:
                truth = {0x15: loaded == value, 0x25: loaded > value, 0x45: bool(loaded & value)}[code]
                at += if_true if truth else if_false


def error_of(machine: str, name: str, *arguments: int) -> str:
    _, refused, looked_at = seccomp._MACHINES[machine]
    number = {**seccomp._EVERYWHERE, **refused, **looked_at}[name]
    said = verdict(machine, number, *arguments)
    return "allowed" if said == ALLOW else errno.errorcode[said & 0xFFFF]


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_that_coding_needs_are_allowed(machine: str) -> None:
    refused = {*seccomp._EVERYWHERE.values(), *seccomp._MACHINES[machine][1].values()}
    open_, execve, mmap = {"x86_64": (257, 59, 9), "aarch64": (56, 221, 222)}[machine]

    assert not refused & {open_, execve, mmap, 0, 1, 439, 436}
    assert {verdict(machine, number) for number in (open_, execve, mmap)} == {ALLOW}


@pytest.mark.parametrize("machine", MACHINES)
def test_each_refused_call_is_answered_as_by_a_kernel_without_it(machine: str) -> None:
    for name in [*seccomp._EVERYWHERE, *seccomp._MACHINES[machine][1]]:
        assert error_of(machine, name) == "ENOSYS", name


@pytest.mark.parametrize("machine", MACHINES)
def test_some_calls_depend_on_their_arguments(machine: str) -> None:
    assert error_of(machine, "clone", 17) == "allowed"
    assert error_of(machine, "clone", 17 | FLAGS) == error_of(machine, "unshare", FLAGS) == "EPERM"
    assert error_of(machine, "unshare", 0x200) == "allowed"
    assert error_of(machine, "ioctl", 0, 0x5412) == error_of(machine, "ioctl", 0, 0x541C) == "EPERM"
    assert error_of(machine, "ioctl", 0x5412, 0x5401) == "allowed"
    assert [error_of(machine, "socket", family) for family in (1, 2, 10, 16)] == ["allowed"] * 4
    assert error_of(machine, "socket", 16, 3, 9) == error_of(machine, "socketpair", 30) == "EAFNOSUPPORT"
    assert {error_of(machine, "socket", family) for family in (0, 3, 17, 31, 38, 40, 44)} == {"EAFNOSUPPORT"}
    assert error_of(machine, "shmget", 0, 56) == "allowed"
    assert error_of(machine, "shmget", 0, 65537) == error_of(machine, "shmget", 0, 1 << 32) == "ENOSPC"


def test_calls_of_another_architecture_end_the_process() -> None:
    assert verdict("x86_64", 1, architecture=0x40000003) == KILL
    assert verdict("x86_64", 0x40000000 + 321) & 0xFFFF == errno.ENOSYS


def test_other_machines_have_no_filter() -> None:
    assert not seccomp.is_known("riscv64")
    assert all(map(seccomp.is_known, MACHINES))
