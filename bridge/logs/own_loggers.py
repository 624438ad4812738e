"""The loggers of this package: their lines are written whatever the host application does to its logging.

By default `dictConfig()` disables every logger that it does not name, `basicConfig(force=True)` removes the handlers of
the root logger, `logging.disable()` disables all loggers. A worker without log lines would look like one that hangs.
"""

import logging

_ours: list[logging.Handler] = []  # empty before the first `make_our_own`, then one


class OwnLogger(logging.Logger):
    """Works as usual while our handler is on the root logger; passes records to our handler itself when it is not."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(self, _: bool) -> None:
        """Ignored: `dictConfig()` sets it for every logger that it does not name."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 -- the library's name
        """Decided by our level alone, not by `logging.disable()`."""
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
    """Make all loggers below `bridge` OwnLoggers with this handler and level. Each of our processes calls it once."""
    _ours[:] = [handler]
    for logger in _loggers():
        logger.__dict__.pop("disabled", None)
        logger.__class__ = OwnLogger
    logging.getLogger("bridge").setLevel(level)


def give_up_our_own() -> None:
    """Undo `make_our_own`, for a process that continues without the bridge, such as one of tests."""
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
