"""Invalid messages for a real worker's queue, and real jobs in between."""

import random
from pathlib import Path

from tests.fuzz.final_checks import check_jobs, check_lines, check_messages
from tests.fuzz.fleet import LIST, NAMESPACE, PAYLOADS, Fleet, open_fleet
from tests.fuzz.hints import any_hint, any_notification
from tests.fuzz.messages import ACTOR, QUEUE, Junk, JunkSource
from tests.fuzz.tally import Tally, check_log
from tests.support.waiting import eventually

_BATCH = 250
_AHEAD = 1000
_SECONDS = 60.0


def fuzz_worker(dsn: str, redis_url: str, secrets: tuple[str, ...], folder: Path, count: int, seed: int) -> Tally:
    """Put `count` messages on the worker's queue. Returns the tally of them and of the real jobs."""
    dice = random.Random(seed)
    tally = Tally()
    with open_fleet(dsn, redis_url, folder) as fleet:
        family = fleet.family()
        try:
            _send(fleet, dice, count, tally)
        except AssertionError as error:
            tally.violate("progress", str(error))
        if fleet.family() != family or {fleet.bridge.popen.poll(), fleet.worker.popen.poll()} != {None}:
            tally.violate("processes", "one of them ended")
        check_jobs(fleet, tally)
        check_messages(fleet, tally)
        fleet.worker.stop()
        fleet.bridge.stop()
        check_log(tally, "bridge", fleet.bridge.output, secrets)
        check_log(tally, "worker", fleet.worker.output, secrets)
        check_lines(fleet, tally)
    return tally


def _send(fleet: Fleet, dice: random.Random, count: int, tally: Tally) -> None:
    """Send all messages, not much faster than the worker takes them. AssertionError if it stops taking them."""
    source = JunkSource(dice)
    for start in range(0, count, _BATCH):
        _say(fleet, dice, tally)
        _put(fleet, dice, [source.next() for _ in range(min(_BATCH, count - start))], tally)
        fleet.rows.all(
            "INSERT INTO coding_jobs (actor, queue, payload) SELECT %s, %s, '{}' FROM generate_series(1, 5)",
            [ACTOR, QUEUE],
        )
        source.saw(fleet.real_messages())
        eventually(lambda: fleet.waiting() < _AHEAD, seconds=_SECONDS, what="a worker that takes messages")
        fleet.collect(tally)
    eventually(fleet.is_over, seconds=_SECONDS, what="an end of all messages and jobs")


def _say(fleet: Fleet, dice: random.Random, tally: Tally) -> None:
    """Send random content on the channels for wake-ups and notifications, which need no answer."""
    for channel in ("__freed__", "__wake__", "__freed__"):
        fleet.client.publish(f"{NAMESPACE}:{channel}", any_hint(dice))
        tally.note("hint", accepted=True)
    for channel in ("new_job", "job_status_changed", "new_job"):
        fleet.rows.all("SELECT pg_notify(%s, %s)", [channel, any_notification(dice)])
        tally.note("notification", accepted=True)


def _put(fleet: Fleet, dice: random.Random, batch: list[Junk], tally: Tally) -> None:
    with fleet.client.pipeline(transaction=False) as pipe:
        for junk in batch:
            tally.note(junk.kind, accepted=False)  # dead-lettered or skipped: none of it may run
            if junk.kind != "delivered again":
                fleet.remember(junk)
            if junk.data is not None:
                pipe.hset(PAYLOADS, junk.redis_id, junk.data)
            push = pipe.lpush if dice.random() < 0.2 else pipe.rpush
            push(LIST, *[junk.redis_id] * (2 if dice.random() < 0.03 else 1))
        pipe.publish(f"{NAMESPACE}:__wake__", QUEUE)
        pipe.execute()
