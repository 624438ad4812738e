"""A fast path for the two lines that every job logs.

For each `logger.info` the library creates a LogRecord and passes it through filters, loggers and handlers: a fifth of
the whole cost of a short job. When our handler is the only one, its result is known beforehand, and the line is written
directly. In all other cases the library does it.
"""

import logging

from bridge.logs.buffer import BufferedHandler
from bridge.logs.fields import LogFields


def info(logger: logging.Logger, message: str, fields: LogFields, **more: int) -> None:
    """Log `message` with `fields` and the numbers in `more`, as `logger.info(message, extra=…)` does."""
    root = logging.root
    handlers = root.handlers
    if (
        len(handlers) == 1
        and type(handler := handlers[0]) is BufferedHandler
        and not (logger.handlers or logger.filters or root.filters)
        and logger.propagate
        and _reaches_root(logger)
    ):
        if logger.isEnabledFor(logging.INFO) and handler.level <= logging.INFO:
            handler.say(logging.INFO, message, fields, more)
    else:
        logger.info(message, extra=fields | more)


def _reaches_root(logger: logging.Logger) -> bool:
    """Whether lines go to the root logger alone: no parent in between has a handler or a filter."""
    parent = logger.parent
    while parent is not None and parent is not logging.root:
        if parent.handlers or parent.filters or not parent.propagate:
            return False
        parent = parent.parent
    return True
