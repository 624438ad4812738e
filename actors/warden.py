"""Stands between a worker and the shell of one job: starts the scripts, keeps the limits, leaves nobody behind.

Run as a program of its own, with the standard library alone. Its standard input is one JSON object
(`worker`, the id of the process it serves, `scripts`, and the limits below); scripts write to its standard
output and error; on the descriptor named by its argument it says, one JSON object a line, how each script
ended. It ends everything it started when the scripts are done, when
a limit is broken, when it gets SIGTERM, and when the worker dies in whatever way.

Limits: `seconds` and `memory_mb` for all processes together, `processes` at once, `file_mb` for any one file.
Processes and memory are counted several times a second besides: the kernel's own limit on processes does not
hold for root.
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
LOOK_SECONDS = 0.1
MB = 1024 * 1024


class Stopped(BaseException):
    """SIGTERM: the worker wants everything ended, or is gone."""


def main() -> int:
    order = json.load(sys.stdin)
    status = int(sys.argv[1])
    prepare(order["worker"])
    deadline = time.monotonic() + order["seconds"]
    try:
        for number, script in enumerate(order["scripts"]):
            verdict = run(script, order, deadline)
            os.write(status, json.dumps({"script": number, **verdict}).encode() + b"\n")
            if verdict.get("exit") != 0:
                break
    except Stopped:
        return 1
    finally:
        end_all()
    return 0


def prepare(worker: int) -> None:
    """Adopt what our children leave behind, and get SIGTERM when the worker is gone."""

    def stop(_signum: int, _frame: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # `run` waits for it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != worker:
            raise Stopped


def run(script: str, order: dict[str, float], deadline: float) -> dict[str, object]:
    """One script from start to end: its exit code (128 + n for signal n), or the limit it broke."""
    shell = os.fork()
    if shell == 0:
        become_the_shell(script, order)
    while True:
        pid, status = os.waitpid(shell, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return {"exit": code if code >= 0 else 128 - code}
        broken = broken_limit(order, deadline)
        if broken:
            end_all()
            return {"exit": None, "limit": broken}
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_SECONDS)


def become_the_shell(script: str, order: dict[str, float]) -> None:
    try:
        os.setsid()
        os.closerange(3, 256)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
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
    with contextlib.suppress(OSError, ValueError):  # a kernel without this limit: the count below has to do
        resource.setrlimit(what, (value, value))


def broken_limit(order: dict[str, float], deadline: float) -> str | None:
    if time.monotonic() > deadline:
        return f"time ({order['seconds']:g} s)"
    ours = descendants()
    if len(ours) > order["processes"]:
        return f"processes ({order['processes']:g})"
    if sum(map(resident_bytes, ours)) > order["memory_mb"] * MB:
        return f"memory ({order['memory_mb']:g} MB)"
    return None


def end_all() -> None:
    """Kill every descendant, as often as it takes: what forks meanwhile is met in the next round."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        ours = descendants()
        for pid in ours:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not ours:
            return


def descendants() -> list[int]:
    """Every live process below this one. Orphans are among them: we adopted them."""
    found: list[int] = []
    open_ends = [os.getpid()]
    while open_ends:
        pid = open_ends.pop()
        for task in listed(f"/proc/{pid}/task"):
            below = [int(child) for child in read(f"/proc/{pid}/task/{task}/children").split()]
            found += below
            open_ends += below
    return [pid for pid in found if not read(f"/proc/{pid}/stat").rpartition(")")[2].startswith(" Z")]


def listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def resident_bytes(pid: int) -> int:
    fields = read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * resource.getpagesize() if len(fields) > 1 else 0


def processes_of(user: int) -> int:
    """Threads of a user, since the kernel's limit counts those."""
    count = 0
    for name in listed("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == user:
                count += len(listed(f"/proc/{name}/task"))
    return count


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
