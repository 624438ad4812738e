"""How many files and connections this process may have open. Often 1024 by default; its streams alone need more."""

import logging
import resource

logger = logging.getLogger(__name__)


def allow_open_files(count: int) -> None:
    """Raise this process's own limit to `count`, if it is lower. Warns when the system does not let us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    possible = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    if possible < count:
        logger.warning(
            "Only %s files may be open (ulimit -Hn), too few for all streams: with %s, as many clients can connect "
            "as the web process allows",
            possible,
            count,
        )
