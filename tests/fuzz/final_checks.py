"""The checks after all messages have been taken."""

import json
from collections import Counter
from typing import Any

from tests.fuzz.fleet import LIST, NAMESPACE, Fleet
from tests.fuzz.messages import QUEUE, Fate
from tests.fuzz.tally import Tally


def check_jobs(fleet: Fleet, tally: Tally) -> None:
    """Each real job completed and ran once, and the worker was never declared lost."""
    runs = Counter(fleet.written.read_text().splitlines())
    jobs = fleet.rows.all(
        "SELECT j.id, j.status, j.retry_count, count(a.*) FILTER (WHERE a.outcome = 'completed') AS ended"
        " FROM coding_jobs j LEFT JOIN job_attempts a ON a.job_id = j.id GROUP BY j.id"
    )
    for job in jobs:
        ran = runs.pop(str(job["id"]), 0)
        tally.note("a real job in between", accepted=True)
        if (job["status"], job["retry_count"], ran, job["ended"]) != ("completed", 0, 1, 1):
            tally.violate("a real job in between", f"{job}, {ran} runs")
    if runs:
        tally.violate("actor", f"it ran for what is no job: {list(runs)[:3]}")
    if (workers := fleet.rows.all("SELECT stop_reason FROM workers")) != [{"stop_reason": None}]:
        tally.violate("worker", f"it did not stay who it was: {workers}")


def check_messages(fleet: Fleet, tally: Tally) -> None:
    """Malformed messages are dead-lettered, those of other applications untouched, and no others are left."""
    fleet.collect(tally)
    there: Any = fleet.client.lrange(LIST, 0, -1)
    for name, sent in fleet.sent.items():
        if sent.fate is Fate.ASIDE and not sent.put_aside:
            tally.violate(sent.kind, f"not put aside: {name[:80]!r}")
        if sent.fate is Fate.LEFT and name not in there:
            tally.violate(sent.kind, f"another's, and taken away: {name[:80]!r}")
    left: Any = [*fleet.client.keys(f"{NAMESPACE}:__acks__*{QUEUE}"), *fleet.left_payloads()]
    if left:
        tally.violate("Redis", f"{len(left)} keys and payloads are left over: {left[:3]}")


def check_lines(fleet: Fleet, tally: Tally) -> None:
    """Every log line is one JSON object and none is an error; each dead-lettered message is named with its reason."""
    named = set()
    for line in [*fleet.worker.output.splitlines(), *fleet.bridge.output.splitlines()]:
        try:
            line_fields = json.loads(line)
            if line_fields["level"] >= 50:
                tally.violate("log", line[:300])
            if line_fields["msg"] == "Message refused" and line_fields["reason"]:
                named.add(line_fields["messageId"])
        except (ValueError, TypeError, KeyError):
            tally.violate("log", f"no JSON object: {line[:300]!r}")
    for name, sent in fleet.sent.items():
        if sent.put_aside and name.decode("utf-8", "replace")[:80] not in named:
            tally.violate(sent.kind, f"not named: {name[:80]!r}")
