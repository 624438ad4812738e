"""Runs the plan's faults: a few at a time, each healed after its time, and all of them healed at the end."""

import random
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress

import redis

from tests.campaign.evidence import Fault
from tests.campaign.faults import KINDS
from tests.campaign.faults.injection import Injection
from tests.campaign.message_copies import MessageCopies
from tests.campaign.plan import PlannedFault
from tests.campaign.world import World

_AT_ONCE = 4
_COLLECT_SECONDS = 0.5
_GIVE_UP_SECONDS = 20.0  # a planned fault that has found nothing to hit by then is dropped


class FaultRunner:
    """Call `tick` often, from the thread that calls `World.tick`."""

    def __init__(self, world: World, planned: Sequence[PlannedFault], only: Iterable[str] = ()) -> None:
        self._world = world
        self._mailbag = MessageCopies()
        self._waiting = deque(one for one in planned if not (chosen := set(only)) or one.kind in chosen)
        self._running: list[tuple[Injection, Fault]] = []
        self._began = time.monotonic()
        self._collected_at = 0.0
        self.done: list[Fault] = []
        self.skipped = 0

    @property
    def is_over(self) -> bool:
        return not self._waiting and not self._running

    def start_clock(self) -> None:
        self._began = time.monotonic()

    def tick(self) -> None:
        for running in list(self._running):
            if running[0].is_over(running[1]):
                self._end(*running)
        self._collect()
        now = time.monotonic() - self._began
        busy = {injection.lane for injection, _ in self._running if injection.lane}
        for planned in [one for one in list(self._waiting)[:50] if one.at <= now]:
            if len(self._running) >= _AT_ONCE:
                return
            if (lane := KINDS[planned.kind].lane) and lane in busy:
                continue  # it is tried again later; the others do not wait for it
            if self._begin(planned):
                self._waiting.remove(planned)
            elif now - planned.at > _GIVE_UP_SECONDS:
                self._waiting.remove(planned)
                self.skipped += 1
            busy = {injection.lane for injection, _ in self._running if injection.lane}

    def heal_all(self) -> None:
        """End all faults that still last."""
        self.skipped += len(self._waiting)
        self._waiting.clear()
        for running in list(self._running):
            self._end(*running)

    def _begin(self, planned: PlannedFault) -> bool:
        injection = KINDS[planned.kind](self._world, self._mailbag, random.Random(planned.seed))
        fault = injection.begin()
        if fault is not None:
            self._running.append((injection, fault))
        return fault is not None

    def _end(self, injection: Injection, fault: Fault) -> None:
        self._running.remove((injection, fault))
        injection.heal(fault)
        fault.healed = time.time()
        self.done.append(fault)
        sys.stderr.write(f"  {len(self.done):5} {fault.kind}{f' ({fault.note})' if fault.note else ''}\n")

    def _collect(self) -> None:
        if time.monotonic() - self._collected_at < _COLLECT_SECONDS:
            return
        self._collected_at = time.monotonic()
        if any(injection.lane == "redis" for injection, _ in self._running):
            return  # Redis would not answer now, and `tick` must not block
        with suppress(redis.RedisError), self._world.redis() as client:
            self._mailbag.collect(client)
