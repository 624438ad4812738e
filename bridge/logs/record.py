"""A log record without the place in the code, thread and process name: our lines do not show them."""

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

_BEGAN = time.time()


class LeanRecord(logging.LogRecord):
    """Has every attribute of a LogRecord. Those left out are empty, as when the library is set to omit them."""

    def __init__(  # has the library's signature, but does not call it: that is the time saved
        self,
        name: str,
        level: int,
        pathname: str,  # noqa: ARG002
        lineno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        func: str | None = None,
        sinfo: str | None = None,
        **_: object,
    ) -> None:
        if args and len(args) == 1 and isinstance(args[0], Mapping) and args[0]:
            args = args[0]
        now = time.time()
        self.__dict__ = {
            "name": name, "msg": msg, "args": args, "levelname": logging.getLevelName(level), "levelno": level,
            "pathname": "", "filename": "", "module": "", "exc_info": exc_info, "exc_text": None, "stack_info": sinfo,
            "lineno": lineno, "funcName": func, "created": now, "msecs": int(now * 1000 % 1000),
            "relativeCreated": (now - _BEGAN) * 1000, "thread": None, "threadName": None, "processName": None,
            "process": os.getpid(),
        }  # fmt: skip
