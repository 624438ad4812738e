"""Times of a turn: its first token, its pieces of text, a dead worker, a cancelled turn, a budget, secrets."""

import json
import math
import re
import signal
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

from bench.numbers import percentiles
from bench.sessions_readers import Readers
from bench.sessions_world import Figure, World
from tests.support.planted import planted
from tests.support.scripted_replies import Reply

_PER_SECOND = 80  # deltas, as a quick model sends them
_TEXTS = "SELECT data FROM session_events WHERE session_id = %s AND event_type = 'text' ORDER BY seq"
_STAMP = re.compile(r"\d+\.\d{6}")
_WARM = [Reply([{"text": "warm"}])]


def first_token(world: World, times: int) -> Iterator[Figure]:
    took = []
    for _ in range(times):
        session, job = world.begin("First token", [Reply([{"text": "x"}], stamped=True)])
        (row, *_) = world.until(lambda at=session: world.rows(_TEXTS, [at]), "a first text", pause=0.001)  # type: ignore[misc]
        took.append((time.monotonic() - float(_STAMP.findall(row["data"]["text"])[0])) * 1000)
        world.ended(job)
    yield Figure("first token → row, p95", percentiles(took).p95, 20, "ms", f"{times} turns")


def deltas(world: World, count: int, readers: int) -> Iterator[Figure]:
    """One long answer, which many readers follow."""
    session, job = world.begin("Go", [Reply([{"text": "x" * count}], chunk=1, delay=1 / _PER_SECOND, stamped=True)])
    with Readers(world.port, [session] * readers) as opened:
        world.until(lambda: world.rows(_TEXTS, [session]), "a first text")
        worker = world.worker_of(job)
        before, began = sum(worker.cpu_times()[:2]), len(_stamps(world, session))
        world.until(lambda: len(_stamps(world, session)) >= count, "the whole text", pause=0.2)
        cpu, seen = sum(worker.cpu_times()[:2]) - before, count - began
        world.ended(job)
        world.until(lambda: opened.completions >= readers, "the last event in each reader")
    stamps = [float(one) for one in _stamps(world, session)]
    rate = f"{count} deltas at {len(stamps) / (stamps[-1] - stamps[0]):.0f}/s"
    stored = {
        row["seq"]: row["at"]
        for row in world.rows(
            "SELECT seq, extract(epoch FROM created_at)::float AS at FROM session_events WHERE session_id = %s",
            [session],
        )
    }
    late = [(at - stored[number]) * 1000 for number, at in opened.arrivals if number in stored and at > opened.began_at]
    rows = len(world.rows(_TEXTS, [session]))
    yield Figure("event → app, 40 readers, p95", percentiles(late).p95, 150, "ms", f"{readers} readers")
    yield Figure("rows for 1,000 deltas", rows * 1000 / count, 200, "", rate)
    yield Figure("CPU for a delta at 80/s", cpu * 1000 / seen, 1, "ms", rate)


def _stamps(world: World, session: UUID) -> list[str]:
    return _STAMP.findall("".join(row["data"]["text"] for row in world.rows(_TEXTS, [session])))


def dead_worker(world: World, times: int) -> Iterator[Figure]:
    took = []
    for _ in range(times):
        asked = len(world.model.requests)
        _, job = world.begin("Die", [Reply([{"text": "y" * 2000}], delay=0.02)])
        world.until(lambda n=asked: len(world.model.requests) > n, "a request")  # type: ignore[misc]
        time.sleep(0.3)  # into the answer
        asked, worker = len(world.model.requests), world.worker_of(job)
        killed = time.monotonic()
        worker.send_signal(signal.SIGKILL)
        world.until(lambda n=asked: len(world.model.requests) > n, "the next request")  # type: ignore[misc]
        took.append(world.model.requests[-1].at - killed)
        world.ended(job)
        world.until(lambda: len(world.worker_pids()) > 1, "workers")
    yield Figure("worker dead → next request, p95", percentiles(took).p95, 4, "s", f"{times} kills")


def cancel(world: World, times: int) -> Iterator[Figure]:
    took = []
    for _ in range(times):
        asked = len(world.model.requests)
        _, job = world.begin("Silence", [Reply([{"text": "z"}], silent_after=-1, faulty=1000)])
        world.until(lambda n=asked: len(world.model.requests) > n, "a request")  # type: ignore[misc]
        time.sleep(0.3)  # it waits for an answer
        began = time.monotonic()
        world.rows("SELECT cancel_job(%s)", [job])
        world.ended(job)
        took.append(time.monotonic() - began)
    yield Figure("cancel while the model is silent, p95", percentiles(took).p95, 1, "s", f"{times} turns")


def budget(world: World, sessions: int) -> Iterator[Figure]:
    """Turns of one user at once, under a budget for her day that ends in the middle of a request."""
    price, limit = 0.0004, 0.0050  # of a request of the fake: 100 tokens in and 20 out
    world.restart_worker(USER_DAILY_BUDGET_USD=str(limit))
    user, calls = uuid4(), [Reply([{"tool": "bash", "input": {"command": "true"}}]) for _ in range(10)]
    jobs = [world.begin("Spend", [*calls, *_WARM], user)[1] for _ in range(sessions)]
    for job in jobs:
        world.ended(job)
    query = "SELECT sum(cost_usd)::float AS spent FROM session_requests WHERE user_id = %s"
    spent = world.rows(query, [user])[0]["spent"] or 0.0
    over = max(0, math.ceil(round((spent - limit) / price, 6)))
    asked = len(world.rows("SELECT FROM session_turns WHERE state = 'asked' AND job_id = ANY(%s)", [jobs]))
    world.restart_worker()
    note = f"${spent:.4f} of ${limit:.4f}; {asked} of {sessions} turns asked"
    yield Figure("overshoot of a budget", over if asked else None, 1, "requests", note)


def secrets(world: World, count: int) -> Iterator[Figure]:
    """Each is in a text of the model, in a command's output and in a file that it writes."""
    hidden = [one for seed in range(1 + count // 20) for one in planted(seed)][:count]
    seen = set()
    for one in hidden:
        replies = [
            Reply([{"text": one.text}, {"tool": "edit", "input": {"path": "found.txt", "new": one.text}}], chunk=7),
            Reply([{"tool": "bash", "input": {"command": "cat found.txt"}}]),
            *_WARM,
        ]
        session, job = world.begin("Look", replies)
        world.ended(job)
        events = world.rows("SELECT event_type, data FROM session_events WHERE session_id = %s ORDER BY seq", [session])
        whole = "".join(str(row["data"].get("text", "")) for row in events if row["event_type"] in {"text", "terminal"})
        if one.secret in whole or json.dumps(one.secret)[1:-1] in json.dumps([row["data"] for row in events]):
            seen.add(one.kind)
    note = ", ".join(sorted(seen)) or f"{len({one.kind for one in hidden})} kinds"
    yield Figure(f"planted secrets seen, of {count}", len(seen), 0, "", note)
