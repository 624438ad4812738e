"""The commands of a sandbox, by the ids of the agent's calls: each one runs once."""

import os
import selectors
from functools import partial

from actors.coding.sandbox.daemon.call import Call
from actors.coding.sandbox.daemon.protocol import Json
from actors.coding.sandbox.daemon.usage import Usage

FOLDER = "run/calls"
KEPT = 16  # calls that have ended: a message of the model starts fewer, and only its calls may be asked for again
RUNNING = 8  # at once: a model calls few tools side by side


class Calls:
    def __init__(self, order: Json, selector: selectors.BaseSelector) -> None:
        """`order` is the daemon's: its limits, and how to start what runs in them."""
        self._order = order
        self._selector = selector
        self._usage = Usage(["workspace", "home"], order["disk_mb"])
        self._calls: dict[str, Call] = {}
        os.makedirs(FOLDER, exist_ok=True)
        for name in sorted(os.listdir(FOLDER), key=lambda name: os.stat(f"{FOLDER}/{name}").st_mtime):
            call = self._calls[name] = Call(f"{FOLDER}/{name}")
            if not call.load():  # it was ended with its daemon: nobody knows what it has done
                self._forget(name)

    def get(self, name: str) -> Call | None:
        return self._calls.get(name)

    def start(self, request: Json, stdin: bytes) -> None:
        """Start a command, unless its call has been started before. Raises OSError."""
        name = request["call"]
        if name in self._calls:
            return
        if not name.isalnum():
            raise ValueError("the name of a call has letters and digits only")
        if len(self.running()) >= RUNNING:
            raise OSError(f"{RUNNING} commands run already")
        for old in [name for name, call in self._calls.items() if call.exit is not None][: -KEPT + 1]:
            self._forget(old)
        if any("\0" in text for text in (*request["argv"], *request["environment"], *request["environment"].values())):
            raise OSError("arguments and variables cannot hold the character NUL")  # it would end them, for bubblewrap
        call = Call(f"{FOLDER}/{name}")
        try:
            call.start({**self._order, **request, "worker": os.getpid()}, stdin)
        except OSError:
            call.remove()
            raise
        self._calls[name] = call
        for pipe in call.pipes:
            self._selector.register(pipe, selectors.EVENT_READ, partial(self._take_output, call, pipe))

    def running(self) -> list[Call]:
        return [call for call in self._calls.values() if call.exit is None]

    def end(self, reason: str) -> None:
        """End all that run. Their exits follow."""
        for call in self.running():
            call.end(reason)

    def watch_the_drive(self) -> None:
        """Begin to count what the files take, while commands run that could write some."""
        result = self._usage.start() if self.running() else None
        if result is not None:
            self._selector.register(result, selectors.EVENT_READ, partial(self._take_usage, result))

    def _take_usage(self, result: int) -> None:
        self._selector.unregister(result)
        if self._usage.is_over(result):
            self.end("disk")

    def _take_output(self, call: Call, pipe: int) -> None:
        if not call.take_output(pipe):
            self._selector.unregister(pipe)
            call.close(pipe)
            os.utime(FOLDER)  # when something ran here last

    def _forget(self, name: str) -> None:
        self._calls.pop(name).remove()
