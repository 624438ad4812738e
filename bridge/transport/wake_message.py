"""What a message of the wake-up channel says."""

from typing import NamedTuple


class WakeMessage(NamedTuple):
    """Messages were put on `queue`, None is any. Or: urgent `jobs` of `priority` were, -1 when one of them began.

    Everybody may send to a channel, so each may be anything.
    """

    queue: str | None = None
    priority: int = 0
    jobs: int = 0

    def to_text(self) -> str:
        return f"{self.queue}\t{self.priority}\t{self.jobs}"


def parse(text: str | None) -> WakeMessage:
    queue, *numbers = (text or "").split("\t")
    try:
        priority, jobs = map(int, numbers)
    except ValueError:
        return WakeMessage(queue or None)
    return WakeMessage(queue or None, priority, jobs)
