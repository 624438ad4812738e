"""What the warden starts for a call: bubblewrap, with the command inside; or the command alone, without."""

import os
from functools import partial

from actors.coding.sandbox.daemon import network
from actors.coding.sandbox.daemon.account import become
from actors.coding.sandbox.daemon.protocol import Json

OWN_PROCESSES = 2  # of bubblewrap: they do not count for the command


def prepare(order: Json, stdin: bytes) -> None:
    """Complete the warden's order, in the process that becomes the warden.

    The options go through a file in memory, not through arguments, which every user of the machine can read.
    """
    if order["program"] is None:
        _prepare_alone(order, stdin)
        return
    waits, descriptors = ([], []) if order["ports"] is None else network.options(order["ports"])
    arguments = [*order["bubblewrap"], *waits, "--chdir", "/workspace"]
    for name, value in {**order["variables"], **order["environment"]}.items():
        arguments += ["--setenv", name, value]
    filter_ = _in_memory(bytes.fromhex(order["seccomp"]))
    options = _in_memory("\0".join([*arguments, "--seccomp", str(filter_)]).encode("utf-8", "surrogateescape"))
    order["stdin"] = _in_memory(stdin)
    order["descriptors"] = [filter_, options, *descriptors]
    order["commands"] = [[order["program"], "--args", str(options), "--", *order["argv"]]]
    order["processes"] += OWN_PROCESSES
    os.environ.clear()


def _prepare_alone(order: Json, stdin: bytes) -> None:
    folder = os.getcwd()
    os.chdir("workspace")
    order["stdin"] = _in_memory(stdin)
    order["descriptors"] = []
    order["commands"] = [["/usr/bin/env", *order["argv"]]]
    if order.get("account") is not None:
        order["confine"] = partial(become, order["account"], bytes.fromhex(order["seccomp"]))
    os.environ.clear()
    os.environ.update({"HOME": f"{folder}/home", **order["variables"], **order["environment"]})


def _in_memory(data: bytes) -> int:
    descriptor = os.memfd_create("call")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
