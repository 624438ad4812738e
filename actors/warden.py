"""Stands between a worker and the shell of one job: starts the scripts, keeps the limits, leaves nobody behind.

Run as a program of its own, with the standard library alone. Its standard input is one JSON object
(`worker`, the id of the process it serves, `scripts`, and the limits below); scripts write to its standard
output and error; on the descriptor named by its argument it says, one JSON object a line, how each script
ended. It ends everything it started when the scripts are done, when a limit is broken, when it gets SIGTERM,
and when the worker dies in whatever way.

Limits: `seconds` and `memory_mb` for all processes together, `processes` at once, `file_mb` for any one file.
Processes and memory are counted several times a second besides: the kernel's own limit on processes does not
hold for root. For the same reason root's scripts get a process namespace of their own where the kernel allows
it: the end of its first process, the keeper, is the end of all of them, faster than anything can fork.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWPID = 0x20000000
LOOK_SECONDS = 0.1
MB = 1024 * 1024
ON_LINUX = sys.platform == "linux"
LIBC = ctypes.CDLL(None)

Order = dict[str, float]


class Stopped(BaseException):
    """SIGTERM: the worker wants everything ended, or is gone."""


# The warden: keeps the limits from outside.


def main() -> int:
    order = json.load(sys.stdin)
    status = int(sys.argv[1])
    keeper = None
    try:
        prepare(int(order["worker"]))
        keeper = os.fork()
        if keeper == 0:
            keep(order["scripts"], order, status)
        broken = watch(keeper, order)
        if broken:
            os.write(status, json.dumps({"exit": None, "limit": broken}).encode() + b"\n")
    except Stopped:
        return 1
    finally:
        end_all(keeper)
    return 0


def prepare(worker: int) -> None:
    """Adopt what our children leave behind, get SIGTERM when the worker is gone, and be heard in any crowd."""

    def stop(_signum: int, _frame: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # `watch` waits for it
    if not ON_LINUX:
        return
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != worker:
        raise Stopped
    if os.geteuid() == 0:
        LIBC.unshare(CLONE_NEWPID)  # takes hold with the next fork; where it is forbidden, counting has to do
        be_heard()


def be_heard() -> None:
    """Get the processor whenever it is wanted, among thousands who want it, too. Children do not inherit that."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def watch(keeper: int, order: Order) -> str | None:
    """Wait for the keeper; the limit that was broken first, in words, or None."""
    deadline = time.monotonic() + order["seconds"]
    while not os.waitpid(keeper, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            return f"time ({order['seconds']:g} s)"
        most = int(order["processes"])
        ours = descendants(keeper, most + 1)
        if len(ours) > most:
            return f"processes ({most})"
        if sum(map(resident_bytes, ours)) > order["memory_mb"] * MB:
            return f"memory ({order['memory_mb']:g} MB)"
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_SECONDS)
    return None


def end_all(keeper: int | None) -> None:
    """Kill the keeper, and with it its namespace; then every descendant, as often as it takes."""
    kill(keeper)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        ours = descendants(os.getpid(), 100_000)
        if not ours:
            return
        for pid in ours:
            kill(pid)
        signal.sigtimedwait({signal.SIGCHLD}, 0.05)  # they need the processor, to die


def kill(pid: int | None) -> None:
    if pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def descendants(top: int, most: int) -> list[int]:
    """Live processes below one, `most` at the most. Orphans are among them: they were adopted."""
    found: list[int] = []
    open_ends = [top]
    while open_ends and len(found) < most:
        pid = open_ends.pop()
        for task in listed(f"/proc/{pid}/task"):
            below = [int(child) for child in read(f"/proc/{pid}/task/{task}/children").split()]
            found += [child for child in below if not is_zombie(child)]
            open_ends += below
    return found


def is_zombie(pid: int) -> bool:
    return read(f"/proc/{pid}/stat").rpartition(")")[2].startswith(" Z")


def resident_bytes(pid: int) -> int:
    fields = read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * resource.getpagesize() if len(fields) > 1 else 0


# The keeper: runs the scripts, inside.


def keep(scripts: list[str], order: Order, status: int) -> None:
    """One script after the other, until one fails; then all is done, and what they left running ends."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        if ON_LINUX:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            if os.geteuid() == 0:
                be_heard()  # it is this process that ends its namespace, in its own last moment
        for script in scripts:
            code = run(script, order)
            os.write(status, json.dumps({"exit": code}).encode() + b"\n")
            if code != 0:
                break
    finally:
        os._exit(0)


def run(script: str, order: Order) -> int:
    """One script; its exit code, 128 + n for signal n."""
    shell = os.fork()
    if shell == 0:
        become_the_shell(script, order)
    while True:
        pid, ended = os.waitpid(-1, 0)  # orphans among them
        if pid == shell:
            code = os.waitstatus_to_exitcode(ended)
            return code if code >= 0 else 128 - code


def become_the_shell(script: str, order: Order) -> None:
    try:
        os.setsid()
        os.closerange(3, 256)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        limit(resource.RLIMIT_CORE, 0)
        limit(resource.RLIMIT_FSIZE, int(order["file_mb"]) * MB)
        limit(resource.RLIMIT_DATA, int(order["memory_mb"]) * MB)
        if os.geteuid() != 0:
            # Behind the count, which names what was broken; this one stops what is faster than it.
            limit(resource.RLIMIT_NPROC, processes_of(os.geteuid()) + 2 * int(order["processes"]) + 16)
        os.execv("/bin/sh", ["sh", "-c", script])
    finally:
        os._exit(127)


def limit(what: int, value: int) -> None:
    _, most = resource.getrlimit(what)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    with contextlib.suppress(OSError, ValueError):  # a kernel without this limit: the count has to do
        resource.setrlimit(what, (value, value))


def processes_of(user: int) -> int:
    """Threads of a user, since the kernel's limit counts those."""
    count = 0
    for name in listed("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == user:
                count += len(listed(f"/proc/{name}/task"))
    return count


def listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
