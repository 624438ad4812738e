"""A process between a worker and the shell of one job: starts the scripts, enforces the limits, ends every process.

It is a program of its own that uses only the standard library. The first line of its standard input is a JSON object:
`worker`, the id of the process that it serves, `scripts`, and the limits below. Scripts write to its standard output
and error. To the file descriptor in its argument it writes how each script ended, a JSON object per line, and waits for
a byte on its standard input before the next one: until then all output is that script's. It ends everything that it
started when the scripts are done, when a limit is exceeded, when it gets SIGTERM, and when the worker dies.

Limits: `seconds` and `memory_mb` for all processes together, `processes` at once, `file_mb` for each single file.
Processes and memory are also counted several times a second, because the kernel's limit on processes does not apply to
root. For the same reason root's scripts run in a process namespace of their own, where the kernel allows it: when its
first process, the keeper, ends, the kernel kills all others, however fast they fork.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>
PR_SET_CHILD_SUBREAPER = 36  # from <linux/prctl.h>
CLONE_NEWPID = 0x20000000  # from <linux/sched.h>
COUNT_SECONDS = 0.1  # between two counts: a fork bomb is found early, and counting costs little
END_SECONDS = 5.0  # for all to end after SIGKILL: only a system call can take that long, such as a write to a slow disk
KILL_SECONDS = 0.05  # between two rounds of SIGKILL: those that forked meanwhile are met in the next
ALL = 100_000  # processes in one round; if there are more, the next one finds them
MB = 1024 * 1024  # bytes
ON_LINUX = sys.platform == "linux"
LIBC = ctypes.CDLL(None)

Order = dict[str, float]


class Stopped(BaseException):
    """SIGTERM came: the worker wants everything to end, or has died."""


# The warden: enforces the limits from outside.


def main() -> int:
    order = json.loads(sys.stdin.readline())
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
    """Kill the keeper, and with it its namespace; then all descendants, repeatedly until none is left."""
    kill(keeper)
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        ours = descendants(os.getpid(), ALL)
        if not ours:
            return
        for pid in ours:
            kill(pid)
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


# The keeper: runs the scripts, inside the namespace.


def keep(scripts: list[str], order: Order, status: int) -> None:
    """Run the scripts in order until one fails. This process then ends, and what they left running ends with it."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        if ON_LINUX:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            if os.geteuid() == 0:
                raise_priority()  # the namespace ends with this process, which must get the processor for that
        for script in scripts:
            code = run(script, order)
            os.write(status, json.dumps({"exit": code}).encode() + b"\n")
            if code != 0 or not os.read(0, 1):  # the worker has closed its end
                break
    finally:
        os._exit(0)


def run(script: str, order: Order) -> int:
    """Run one script. Returns its exit code; 128 + n when signal n ended it."""
    shell = os.fork()
    if shell == 0:
        become_the_shell(script, order)
    while True:
        pid, ended = os.waitpid(-1, 0)  # may also return an orphan
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
            # Higher than the limit of the counts, which can name the limit; this one stops what forks faster.
            limit(resource.RLIMIT_NPROC, processes_of(os.geteuid()) + 2 * int(order["processes"]) + 16)
        os.execv("/bin/sh", ["sh", "-c", script])
    finally:
        os._exit(127)


def limit(what: int, value: int) -> None:
    _, most = resource.getrlimit(what)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    with contextlib.suppress(OSError, ValueError):  # the kernel does not have this limit: the counts still protect us
        resource.setrlimit(what, (value, value))


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
