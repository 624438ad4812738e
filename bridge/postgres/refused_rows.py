"""What our functions in Postgres say of rows that they cannot change: each is told once.

They say it with every try, as a warning of the form `mobvibe: job <id> cannot be <what>: <why>`.
"""

import logging
import re

logger = logging.getLogger(__name__)

_SAID = re.compile(r"mobvibe: job (?P<job>\S+) (?P<what>cannot be [a-z ]+): (?P<why>.*)")
_KEPT_MOST = 10_000  # a few megabytes; when they are exceeded, all are forgotten and logged once more
_told: dict[tuple[str, str, str], None] = {}


def heard(message: str | None) -> None:
    """A notice of the server. For any thread; what is told twice by chance does no harm."""
    said = _SAID.match(message or "")
    if said is None or said.groups() in _told:
        return
    if len(_told) >= _KEPT_MOST:
        _told.clear()
    _told[said["job"], said["what"], said["why"]] = None
    logger.error(
        "Job %s: Postgres refuses to change its row", said["what"], extra={"jobId": said["job"], "reason": said["why"]}
    )
