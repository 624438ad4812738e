"""The first lines in a container, as its root with three capabilities: `python -c` this text. Standard library only.

Standard input begins with a line that holds a size, and with so many bytes of JSON: `programs`, `folder` and `version`
of them, `main` with its `arguments`, `account` of the commands, `keeper`, and whom which `places` belong to. All else
of it is for the program. Nothing is left of root and its capabilities then.
"""

import json
import os
import sys

FIRST_TO_END = "1000"  # for the kernel when memory runs out: before all else on the machine


def boot() -> None:
    size = b""
    while not size.endswith(b"\n"):
        size += _read(1)
    order = json.loads(_read(int(size)))
    with open("/proc/self/oom_score_adj", "w", encoding="utf-8") as file:
        file.write(FIRST_TO_END)
    account, keeper = order["account"], order["keeper"]
    for place, owner, mode in order["places"]:
        if os.stat(place).st_uid != owner:  # a new volume: later, its mode is its owner's matter
            os.chmod(place, mode)
            os.chown(place, owner, owner)
    os.umask(0o077)
    os.setgroups([])
    # The real and saved account of the keeper: no command may signal or trace us. Its group opens the keeper's folder.
    os.setresgid(account, keeper, account)
    os.setresuid(keeper, account, keeper)
    # Images come without compiled modules, and cannot be written to: compiling takes longer than all else here.
    sys.pycache_prefix = f"{order['folder']}/compiled"
    folder = f"{order['folder']}/{order['version']}"
    if not os.path.exists(folder):
        _write(order["programs"], folder)
    _start(f"{folder}/{order['main']}", order["arguments"])


def _read(size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            sys.exit("the worker has gone")
        data += more
    return data


def _write(programs: dict[str, str], folder: str) -> None:
    """All at once, for others may begin at the same time."""
    new = f"{folder}-{os.urandom(8).hex()}"
    for path, text in programs.items():
        os.makedirs(os.path.dirname(f"{new}/{path}"), exist_ok=True)
        with open(f"{new}/{path}", "w", encoding="utf-8") as file:
            file.write(text)
    try:
        os.rename(new, folder)
    except OSError:
        if not os.path.exists(folder):  # else another one was faster
            raise


def _start(program: str, arguments: list[str]) -> None:
    import runpy  # noqa: PLC0415 -- late enough to be kept compiled

    sys.argv = [program, *arguments]
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    boot()
