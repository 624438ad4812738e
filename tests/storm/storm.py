"""One storm, from its first session to its verdict."""

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from tests.storm.checker import Verdict, judge
from tests.storm.script import PROMPT
from tests.storm.strikes import Strikes
from tests.storm.world import Size, World

_TICK_SECONDS = 0.05
_LOOK_SECONDS = 0.25
_TALK_SECONDS = 15.0
_BOOT_SECONDS = 60.0
_SETTLE_SECONDS = 120.0
_WAITING_PER_SLOT = 1.5  # sessions that are open, for each thread: workers that come back find something to do
_FROZEN_MOST = 0.5  # of the workers: the others take over what these had
_ATTEMPTS_MOST = 1000
_OPEN = "SELECT count(*) FROM coding_jobs WHERE status IN ('pending', 'processing')"
# A session whose worker died twice runs alone for half a minute, and each retry waits longer: a storm that waited for
# that would strike idle workers. How suspects are isolated is tested elsewhere.
_NOW = """
    UPDATE coding_jobs SET crashes = 0, run_at = least(run_at, clock_timestamp() + interval '0.5 s')
    WHERE status = 'pending' AND (crashes > 0 OR run_at > clock_timestamp() + interval '0.5 s')"""
# A workspace is read at the end of the storm: it must not be removed before.
_SESSION = """
    WITH session AS (
        INSERT INTO coding_sessions (user_id, initial_prompt, expires_at)
        VALUES (%(user)s, %(prompt)s, now() + interval '1 day') RETURNING id)
    INSERT INTO coding_jobs (session_id, actor, queue, prompt, max_retries)
    SELECT id, 'run_coding_session', 'coding', %(prompt)s, %(attempts)s FROM session"""


@dataclass
class Options:
    kills: int
    zombies: int
    minutes: float
    """For the strikes; the last sessions get two more."""
    seed: int
    rate: float = 1.0
    """Strikes a second at most."""
    size: Size = field(default_factory=Size)


@dataclass
class Outcome:
    options: Options
    strikes: Strikes
    verdict: Verdict
    settled_in: float | None
    """Seconds; None: some sessions were still open at the deadline."""
    seconds: float

    @property
    def is_whole(self) -> bool:
        """Whether all strikes happened that were asked for."""
        return self.strikes.kills >= self.options.kills and self.strikes.zombies >= self.options.zombies


def run(options: Options, world: World) -> Outcome:
    """Raises RuntimeError when the workers do not come up."""
    began = time.monotonic()
    storm = _Storm(options, world)
    storm.boot()
    storm.strike()
    settled_in = storm.settle()
    return Outcome(options, storm.strikes, judge(world), settled_in, time.monotonic() - began)


class _Storm:
    def __init__(self, options: Options, world: World) -> None:
        self._options, self._world = options, world
        self._dice = random.Random(options.seed)
        self.strikes = Strikes(world, self._dice)
        self._slots = options.size.workers * options.size.threads
        self._looked_at = 0.0
        self._is_over = False

    def boot(self) -> None:
        booted = "SELECT count(*) FROM workers WHERE stopped_at IS NULL"
        if not self._keep_going(_BOOT_SECONDS, lambda: self._count(booted) >= self._options.size.workers):
            raise RuntimeError("the workers did not register in time")

    def strike(self) -> None:
        """Returns when all strikes have happened, or when their time is over."""
        deadline = time.monotonic() + self._options.minutes * 60
        next_at = talked_at = time.monotonic()
        while (self._left() or not self.strikes.is_quiet) and time.monotonic() < deadline:
            self._tick()
            now = time.monotonic()
            if now >= next_at and self._left():
                next_at = now + self._dice.expovariate(self._options.rate)
                self._strike_once()
            if now - talked_at >= _TALK_SECONDS:
                talked_at = now
                say(f"{self.strikes.kills} kills, {self.strikes.zombies} zombies")
            time.sleep(_TICK_SECONDS)
        self._is_over = True
        self.strikes.continue_all()

    def settle(self) -> float | None:
        began = time.monotonic()
        done = self._keep_going(_SETTLE_SECONDS, lambda: self._count(_OPEN) == 0)
        return time.monotonic() - began if done else None

    def _left(self) -> int:
        kills = max(0, self._options.kills - self.strikes.kills)
        return kills + max(0, self._options.zombies - self.strikes.zombies)

    def _strike_once(self) -> None:
        """Both kinds end at about the same time, so the kind with more left is the more likely one."""
        kills = max(0, self._options.kills - self.strikes.kills)
        zombies = max(0, self._options.zombies - self.strikes.zombies - self.strikes.frozen)
        if self.strikes.frozen >= len(self._world.workers) * _FROZEN_MOST:
            zombies = 0
        # A zombie takes seconds in which others are killed, so it must begin in time.
        kind = self._dice.choices(("kill", "point", "zombie", "none"), (kills * 0.85, kills * 0.15, zombies * 2, 1e-9))
        match kind[0]:
            case "kill":
                self.strikes.kill()
            case "point":
                self.strikes.arm()
            case "zombie":
                self.strikes.freeze()

    def _tick(self) -> None:
        self._world.tick()
        self.strikes.tick()
        if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._world.connection.execute(_NOW)
            missing = 0 if self._is_over else int(self._slots * _WAITING_PER_SLOT) - self._count(_OPEN)
            for _ in range(missing):
                columns = {"user": uuid4(), "prompt": PROMPT, "attempts": _ATTEMPTS_MOST}
                self._world.connection.execute(_SESSION, columns)

    def _count(self, query: str) -> int:
        return int(self._world.rows(query)[0]["count"])

    def _keep_going(self, seconds: float, until: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() > deadline:
                return False
            self._tick()
            time.sleep(_TICK_SECONDS)
        return True


def say(text: str) -> None:
    sys.stderr.write(f"storm: {text}\n")
