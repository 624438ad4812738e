"""A process between a worker and the commands of one job: starts them, enforces the limits, ends every process.

It is a program of its own that uses only the standard library. The first line of its standard input is a JSON object:
`worker`, the id of the process that it serves, `commands`, a list of arguments each, and the limits below. Commands
write to its standard output and error. To the file descriptor in its argument it writes how each one ended, a JSON
object per line, and waits for a byte on its standard input before the next one: until then all output is its own.
It ends everything that it started when the commands are done, when a limit is exceeded, when it gets SIGTERM, and when
the worker dies. The daemon of a sandbox forks and calls `guard` instead: `stdin`, `descriptors` and `confine`, which
is called right before the command, are for it.

Limits: `seconds` and `memory_mb` for all processes together, `processes` at once, `file_mb` for each single file.
Processes and memory are also counted several times a second, because the kernel's limit on processes does not apply to
root. For the same reason root's commands run in a process namespace of their own, where the kernel allows it: when its
first process, the keeper, ends, the kernel kills all others, however fast they fork.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>
PR_SET_CHILD_SUBREAPER = 36  # from <linux/prctl.h>
CLONE_NEWPID = 0x20000000  # from <linux/sched.h>
COUNT_SECONDS = 0.1  # between two counts: a fork bomb is found early, and counting costs little
END_SECONDS = 5.0  # for all to end after SIGKILL: only a system call can take that long, such as a write to a slow disk
KILL_SECONDS = 0.05  # between two rounds of SIGKILL: those that forked meanwhile are met in the next
ALL = 100_000  # processes in one round; if there are more, the next one finds them
# The kernel's limit for each process of `processes`. It counts threads, and all that the account runs: other commands,
# up to eight for a turn, and a worker's own processes. So it only bounds what forks faster than we count.
KERNEL_ROOM = 16
DOUBLINGS = 16  # of what an account may run unseen: from the room of one process to more than a machine can have
MB = 1024 * 1024  # bytes
ON_LINUX = sys.platform == "linux"
LIBC = ctypes.CDLL(None)

Order = dict[str, Any]


class Stopped(BaseException):
    """SIGTERM came: the worker wants everything to end, or has died."""


# The warden: enforces the limits from outside.


def main() -> int:
    return guard(json.loads(sys.stdin.readline()), int(sys.argv[1]))


def guard(order: Order, status: int) -> int:
    """Run the commands in the limits. Returns 1 when it was told to end before that."""
    keeper = None
    try:
        prepare(int(order["worker"]))
        keeper = os.fork()
        if keeper == 0:
            keep(order, status)
        broken = watch(keeper, order)
        if broken:
            os.write(status, json.dumps({"exit": None, "limit": broken}).encode() + b"\n")
    except Stopped:
        return 1
    finally:
        end_all(keeper)
    return 0


def prepare(worker: int) -> None:
    """Adopt orphans of our children, get SIGTERM when the worker dies, and get a high scheduling priority."""

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
        LIBC.unshare(CLONE_NEWPID)  # takes effect with the next fork; where it is forbidden, only the counts protect us
        raise_priority()


def ends_with(parent: int) -> bool:
    """Let the kernel kill this process when its parent ends. False: that has ended already."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent


def raise_priority() -> None:
    """Get the processor before ordinary processes, even thousands of them. Children do not inherit this."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def watch(keeper: int, order: Order) -> str | None:
    """Wait for the keeper. Returns a text that names the limit that was exceeded first, or None."""
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
        signal.sigtimedwait({signal.SIGCHLD}, COUNT_SECONDS)
    return None


def end_all(keeper: int | None) -> None:
    """Kill the keeper, and with it its namespace; then all descendants, repeatedly until none is left.

    Only the kernel knows that none is left: one that loses its parent while `descendants` reads is missed by it.
    """
    kill(keeper)
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        for pid in descendants(os.getpid(), ALL):
            kill(pid)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        signal.sigtimedwait({signal.SIGCHLD}, KILL_SECONDS)  # a killed process needs the processor to end


def kill(pid: int | None) -> None:
    if pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def descendants(top: int, most: int) -> list[int]:
    """Live descendants of a process; the search stops once there are `most`. Includes orphans, which were adopted."""
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


# The keeper: runs the commands, inside the namespace.


def keep(order: Order, status: int) -> None:
    """Run the commands in order until one fails. This process then ends, and what they left running ends with it."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        if ON_LINUX:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            if os.geteuid() == 0:
                raise_priority()  # the namespace ends with this process, which must get the processor for that
        for command in order["commands"]:
            code = run(command, order)
            os.write(status, json.dumps({"exit": code}).encode() + b"\n")
            if code != 0 or not os.read(0, 1):  # the worker has closed its end
                break
    finally:
        os._exit(0)


def run(command: list[str], order: Order) -> int:
    """Run one command. Returns its exit code; 128 + n when signal n ended it."""
    first = os.fork()
    if first == 0:
        become(command, order)
    while True:
        pid, ended = os.waitpid(-1, 0)  # may also return an orphan
        if pid == first:
            code = os.waitstatus_to_exitcode(ended)
            return code if code >= 0 else 128 - code


def become(command: list[str], order: Order) -> None:
    try:
        os.setsid()
        stdin = order.get("stdin")
        os.dup2(os.open(os.devnull, os.O_RDONLY) if stdin is None else stdin, 0)
        close_all_but(order.get("descriptors", ()))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if os.geteuid() != 0:
            limit_processes(KERNEL_ROOM * int(order["processes"]))
        limit(resource.RLIMIT_CORE, 0)
        limit(resource.RLIMIT_FSIZE, int(order["file_mb"]) * MB)
        limit(resource.RLIMIT_DATA, int(order["memory_mb"]) * MB)
        if "confine" in order:
            order["confine"]()
        os.execv(command[0], command)
    finally:
        os._exit(127)


def close_all_but(kept: Iterable[int]) -> None:
    """Nothing but standard input, output, error and these is open in what runs next."""
    first = 3
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        os.set_inheritable(descriptor, True)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def limit(what: int, value: int) -> None:
    _, most = resource.getrlimit(what)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    with contextlib.suppress(OSError, ValueError):  # the kernel does not have this limit: the counts still protect us
        resource.setrlimit(what, (value, value))


def limit_processes(room: int) -> None:
    """Leave so much room above what the account runs, half of it at least.

    The kernel counts what it runs in other containers, too, which /proc does not show. So we try.
    """
    seen = processes_of(os.geteuid())
    for unseen in (0, *(room << doubled for doubled in range(DOUBLINGS))):
        if may_start(seen + unseen + room // 2):
            break
    else:
        unseen = 0  # something else refuses: a higher limit would not help
    limit(resource.RLIMIT_NPROC, seen + unseen + room)


def may_start(most: int) -> bool:
    """Whether one more thread may run where an account may have so many. Unlike a process, the counts do not see it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NPROC, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    return True


def processes_of(user: int) -> int:
    """The number of a user's threads, because the kernel's limit on processes counts threads."""
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
