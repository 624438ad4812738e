"""Stops the sandboxes that nobody uses, and removes those whose sessions are over."""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from actors.coding.sandbox.base import SandboxError, SandboxInfo, SandboxProvider

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sessions:
    """Which sessions may still want their sandbox."""

    working: Collection[UUID]
    """They have an open job: it is used, or will be at once."""
    kept: Collection[UUID]
    """They are not over, or their files are not stored elsewhere yet. A sandbox of no session here is destroyed."""


def sweep(
    provider: SandboxProvider,
    wanted: Callable[[Sequence[SandboxInfo]], Sessions],
    now: datetime,
    *,
    idle: timedelta,
    most: int,
) -> int:
    """Stop what is idle, destroy what is over, and stop the longest idle ones above `most`. Returns how many.

    The sandboxes are listed before the sessions are asked for: one that is made meanwhile is not in the list.
    """
    sandboxes = sorted(provider.list(), key=lambda info: info.used_at)
    sessions = wanted(sandboxes)
    running = sum(info.is_running for info in sandboxes)
    done = 0
    for info in sandboxes:
        if info.session_id in sessions.working:
            continue
        if info.session_id not in sessions.kept:
            act = provider.destroy
        elif info.is_running and (now - info.used_at >= idle or running > most):
            act = provider.stop
        else:
            continue
        done += _try(act, info)
        running -= info.is_running
    return done


def _try(act: Callable[[UUID], None], info: SandboxInfo) -> bool:
    try:
        act(info.session_id)
    except (SandboxError, OSError) as error:
        logger.warning("the sandbox %s is left for the next time: %s", info.name, error)
        return False
    return True
