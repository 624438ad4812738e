"""gunicorn's log in our format, without a line per request."""

import logging
import sys
from typing import Any

from gunicorn.glogging import Logger


class ServerLog(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """Passes all lines to the root logger, which `configure_logging` has set up."""

    def setup(self, cfg: Any) -> None:  # noqa: ARG002 -- gunicorn passes it
        self.loglevel = logging.getLogger().level
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True
            log.setLevel(max(self.loglevel, logging.WARNING))

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log a crash. A client that disconnected, or does not read its answer, is not one."""
        if isinstance(error := sys.exc_info()[1], OSError):
            self.error_log.info("Connection lost", extra={"reason": str(error)})
        else:
            super().exception(msg, *args, **kwargs)

    def access(self, *_: Any, **__: Any) -> None:
        """No line per request: probes would fill the log."""

    def reopen_files(self) -> None:
        """Does nothing: we log to no file."""
