"""The messages on the channel of freed slots: a worker settled jobs, or a bridge handed some over.

Both are hints that update the bridges' counts of free slots: when one is lost, the next job starts a little later.
Every client with access to the channel can publish there, so impossible values are dropped.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_JOBS_MOST = 1_000_000  # of one queue in one message: more than any deployment settles or claims at once
_MS_MOST = 1e13  # in total: hours for each of so many jobs. A larger value would spoil an average for long


@dataclass(frozen=True, slots=True)
class FreedSlots:
    """From a worker process. `settled`: queue → how many jobs ended there, and the milliseconds they took in total.

    `queues` are all queues that the worker serves: each slot is free for each of them. With an empty `settled`, the
    worker has just started, or serves more actors than before.
    """

    settled: Mapping[str, tuple[int, float]]
    queues: Sequence[str]

    @property
    def jobs(self) -> int:
        return sum(jobs for jobs, _ in self.settled.values())

    def to_json(self) -> str:
        return json.dumps({"settled": dict(self.settled), "queues": self.queues})


@dataclass(frozen=True, slots=True)
class HandedOver:
    """From the bridge `by`. `handed`: queue → how many jobs it just handed over."""

    handed: Mapping[str, int]
    by: str

    def to_json(self) -> str:
        return json.dumps({"handed": dict(self.handed), "by": self.by})


def parse(text: str | None) -> FreedSlots | HandedOver | None:
    """The message in `text`; None if it is neither of the two."""
    try:
        fields: dict[str, Any] = json.loads(text or "{}")
        if handed := fields.get("handed"):
            return HandedOver({str(queue): _jobs(jobs) for queue, jobs in handed.items()}, str(fields.get("by")))
        settled = {str(queue): (_jobs(jobs), _milliseconds(ms)) for queue, (jobs, ms) in fields["settled"].items()}
        return FreedSlots(settled, [str(queue) for queue in fields["queues"]])
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _jobs(number: Any) -> int:
    if not 0 <= (jobs := int(number)) <= _JOBS_MOST:
        raise ValueError
    return jobs


def _milliseconds(number: Any) -> float:
    if not 0 <= (ms := float(number)) <= _MS_MOST:  # false for NaN, too
        raise ValueError
    return ms
