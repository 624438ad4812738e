"""Loggers of this package, whose lines come out whatever a host does to the library's configuration.

`dictConfig()` disables by default every logger it does not name, `basicConfig(force=True)` and others take the handlers
off the root, `logging.disable()` silences everybody. A worker that fell silent would look like one that hangs.
"""

import logging

_ours: list[logging.Handler] = []  # one, from the first `make_our_own` on


class OwnLogger(logging.Logger):
    """Goes the usual way while our handler is on the root logger, and straight to our handler when it is not."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(self, _: bool) -> None:
        """By those who do not name us: not heard."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 -- the library's name
        """By our own level alone, not by `logging.disable()`."""
        cache: dict[int, bool] = self._cache  # type: ignore[attr-defined]
        if (known := cache.get(level)) is None:
            known = cache[level] = level >= self.getEffectiveLevel()
        return known

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802 -- the library's name
        if not _ours or _ours[0] in logging.getLogger().handlers:
            super().callHandlers(record)
        elif record.levelno >= _ours[0].level:
            _ours[0].handle(record)


def make_our_own(handler: logging.Handler, level: int) -> None:
    """From now on loggers below `bridge` are ours, at this level of their own. Done once by a process of ours."""
    _ours[:] = [handler]
    for logger in _loggers():
        logger.__dict__.pop("disabled", None)
        logger.__class__ = OwnLogger
    logging.getLogger("bridge").setLevel(level)


def give_up_our_own() -> None:
    """The opposite, for a process that goes on as somebody else's."""
    _ours.clear()
    for logger in _loggers():
        logger.__class__ = logging.Logger
        logger.disabled = False
    logging.getLogger("bridge").setLevel(logging.NOTSET)


def _loggers() -> list[logging.Logger]:
    logging.getLogger("bridge")
    return [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger) and (name == "bridge" or name.startswith("bridge."))
    ]


def flush_our_own() -> None:
    for handler in _ours:
        handler.flush()
