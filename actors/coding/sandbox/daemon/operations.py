"""What the daemon does for a request, if it comes from the attempt that the sandbox belongs to."""

import errno
from collections.abc import Callable
from typing import Any

from actors.coding.sandbox.daemon.calls import Calls
from actors.coding.sandbox.daemon.files import Files
from actors.coding.sandbox.daemon.protocol import Json

MB = 1024 * 1024  # bytes

Operation = Callable[[Json, bytes], bytes | Json]


class Operations:
    def __init__(self, calls: Calls, order: Json) -> None:
        self._calls = calls
        self._fence = int(order["fence"])
        self._file_bytes = order["file_mb"] * MB
        self._files = Files("workspace")
        self.is_stopped = False
        self._known: dict[str, Operation] = {
            "hello": lambda _request, _body: {},
            "exec": self._exec,
            "has": lambda request, _body: {"has": self._calls.get(request["call"]) is not None},
            "follow": self._follow,
            "end": self._end,
            "read": lambda request, _body: self._files.read(request["path"], request["most"]),
            "write": self._write,
            "stop": lambda _request, _body: self.stop(),
        }

    def stop(self) -> Json:
        """The daemon ends, with all that runs."""
        self.is_stopped = True
        return {}

    def answer(self, request: Json, body: bytes) -> tuple[Json, bytes]:
        """Fields and body of the answer. Raises LookupError, TypeError or ValueError for what is no request."""
        if (refusal := self._refusal(int(request["fence"]))) is not None:
            return {"error": "refused", "message": refusal}, b""
        try:
            result = self._known[request["op"]](request, body)
        except OSError as error:
            kind = "file" if "path" in request else "failed"
            return {"error": kind, "errno": error.errno, "message": error.strerror or str(error)}, b""
        return (result, b"") if isinstance(result, dict) else ({}, result)

    def _refusal(self, fence: int) -> str | None:
        """Why an attempt is refused. A later one than ours ends this daemon, because it starts its own."""
        try:
            with open("fence", encoding="utf-8") as file:
                latest = max(fence, int(file.read()))
        except OSError:
            self.stop()
            return "the sandbox was destroyed"
        if latest > self._fence:
            self.stop()
        if fence < latest or self.is_stopped:
            return f"the sandbox belongs to attempt {latest}, this is attempt {min(fence, self._fence)}"
        return None

    def _exec(self, request: Json, body: bytes) -> Json:
        self._calls.start(request, body)
        return {}

    def _follow(self, request: Json, _body: bytes) -> dict[str, Any]:
        call = self._calls.get(request["call"])
        if call is None:
            raise FileNotFoundError("no such call")
        return {"follow": call}

    def _end(self, request: Json, _body: bytes) -> Json:
        call = self._calls.get(request["call"])
        if call is not None:
            call.end("ended")
        return {}

    def _write(self, request: Json, body: bytes) -> Json:
        if len(body) > self._file_bytes:
            raise OSError(errno.EFBIG, "the file is larger than SANDBOX_FILE_MB")
        self._files.write(request["path"], body)
        return {}
