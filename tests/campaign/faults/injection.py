"""The base class of all faults."""

import random
import time
from abc import ABC, abstractmethod
from typing import ClassVar

from tests.campaign.evidence import Fault
from tests.campaign.message_copies import MessageCopies
from tests.campaign.world import World


class Injection(ABC):
    """One fault: `inject`, then `is_over` until it is true, then `heal`. None of these may block for long.

    `lane`: only one fault of a lane at a time. `weight`: how often it is planned, relative to the others.
    """

    label: ClassVar[str]
    weight: ClassVar[float]
    lane: ClassVar[str] = ""

    def __init__(self, world: World, message_copies: MessageCopies, dice: random.Random) -> None:
        self.world = world
        self.message_copies = message_copies
        self.dice = dice
        self.seconds = 0.0  # until it is healed
        self._began = 0.0

    def begin(self) -> Fault | None:
        """Inject and return the fault, or None if there is nothing to inject it into at the moment."""
        self._began = time.monotonic()
        return self.inject()

    @abstractmethod
    def inject(self) -> Fault | None: ...

    def is_over(self, fault: Fault) -> bool:
        return time.monotonic() - self._began >= self.seconds

    def heal(self, fault: Fault) -> None:  # noqa: B027 -- many faults are over with the moment they happen
        """Undo the fault. Must be safe to call, whatever has happened meanwhile."""

    def fault(self, *, stops_claims: bool = False) -> Fault:
        now = time.time()
        return Fault(self.label, now, next_claim_since=now if stops_claims else None)
