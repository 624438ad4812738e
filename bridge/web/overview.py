"""What the pages show live: counts, the verdict and what needs attention, read once for all who look."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from bridge.errors import BridgeError, StoreUnavailableError
from bridge.job import Status
from bridge.postgres.job_list import Call
from bridge.postgres.older_schema import unless_missing
from bridge.postgres.queue_pauses import Pause, find_pauses
from bridge.runtime.outages import ErrorReporter
from bridge.web.cached import Cached
from bridge.web.histories import Histories
from bridge.web.template_filters import lasted
from bridge.web.verdict import STUCK_SECONDS, Finding, findings, sentence

SAMPLE_SECONDS = 0.5  # between two readings: an eye sees little delay, and Postgres two small statements a second
_KEPT_SECONDS = 0.4  # shorter than that, or a reading would find the answer of the one before
_ATTENTION_SECONDS = 10.0  # what needs attention lasts for minutes, and costs more to find


@dataclass(frozen=True, slots=True)
class State:
    """What a page shows. `id` is the same for equal contents, in each process."""

    id: str
    text: str  # `content` as JSON
    content: dict[str, Any]


class Overview:
    def __init__(self, call: Call, histories: Histories) -> None:
        self._call = call
        self._histories = histories
        self._state = Cached(self._read, _KEPT_SECONDS)
        self._attention = Cached(self._look, _ATTENTION_SECONDS)
        self._errors = ErrorReporter(
            "pages", "The figures of the pages cannot be read: {}".format, "They can be read again"
        )

    def state(self) -> State:
        """Of the last half second. Without Postgres it says so, and has no figures (`counts` is None)."""
        state: State = self._state.get()
        return state

    def _read(self) -> State:
        try:
            content = self._content()
            self._errors.succeeded()
        except BridgeError as error:
            self._errors.failed(error)
            verdict = {"healthy": False, "text": _why(error)}
            content = {"verdict": verdict, "counts": None, "queues": [], "workers": None, "attention": []}
        text = json.dumps(content, separators=(",", ":"))
        return State(hashlib.sha256(text.encode()).hexdigest()[:16], text, content)

    def _content(self) -> dict[str, Any]:
        live = self._call("live", {})[0]
        attention, in_vain, pauses = self._attention.get()
        latest = self._latest()
        found = findings(live, attention, in_vain, latest, pauses)
        return {
            "verdict": {"healthy": not found, "text": sentence(live, found, latest)},
            "counts": {status: sum(queue[status] for queue in live["queues"]) for status in Status},
            "queues": [_shown(queue) for queue in live["queues"]],
            "workers": {name: int(live[name]) for name in ("workers", "slots", "busy")},
            "attention": [{"text": one.text, "href": _address(one)} for one in found],
        }

    def _look(self) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Pause]]:
        attention = self._call("attention", {"stuck_seconds": STUCK_SECONDS})[0]
        return attention, self._call("waiting_in_vain", {}), find_pauses(self._call)

    def _latest(self) -> dict[str, Any] | None:
        history = unless_missing(lambda: self._histories.get("1h"))
        return history["latest"] if history and history["latest"]["steps"] else None


def _why(error: BridgeError) -> str:
    """Without addresses and roles: readers see it, too."""
    if isinstance(error, StoreUnavailableError):
        return f"{error.store} {error.condition}. The log of mobvibe web says why."
    return str(error)


def _shown(queue: dict[str, Any]) -> dict[str, Any]:
    seconds = queue["oldest_due_seconds"]
    oldest = None if seconds is None else lasted(timedelta(seconds=max(0.0, seconds)))
    counts = {"queue": queue["queue"]} | {status.value: queue[status] for status in Status}
    return counts | {"oldest": f"at least {oldest}" if queue["is_least"] else oldest}


def _address(finding: Finding) -> str:
    """Relative to the start page, as this process does not know under which path a proxy serves it."""
    return finding.page if finding.q is None else f"jobs?q={quote(finding.q)}"
