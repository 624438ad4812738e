"""Finds broken promises of a storm, from Postgres and the workspaces alone."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.storm.script import COMMANDS, EFFECTS, EXPECTED, said
from tests.storm.world import World

Row = dict[str, Any]
_UNKNOWN = "outcome unknown"  # what the model is told of a call whose worker was lost
_ONCE = {"turn_started": 1, "completion": 1, "tool_started": 5, "tool_finished": 5}


@dataclass
class Verdict:
    """Each list names the cases in which a promise was broken, one line each."""

    sessions: int = 0
    unended: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    """Calls that ran twice, or that are said to have run and did not."""
    conversation: list[str] = field(default_factory=list)
    """Messages or results that are missing, doubled or in a wrong place."""
    events: list[str] = field(default_factory=list)
    """Numbers with gaps or twice, and events that are missing or doubled."""
    reservations: list[str] = field(default_factory=list)
    commands: int = 0
    unknown: int = 0
    """Calls whose outcome the model was told not to be known."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Of the attempts that did not complete."""
    requests: int = 0
    needed_requests: int = 0

    @property
    def violations(self) -> dict[str, list[str]]:
        return {
            "sessions that did not end": self.unended,
            "calls repeated or lost": self.repeated,
            "gaps and doubles in conversations": self.conversation,
            "gaps and doubles in events": self.events,
            "reservations left open": self.reservations,
        }

    @property
    def holds(self) -> bool:
        return self.sessions > 0 and not any(self.violations.values())

    @property
    def interruptions(self) -> int:
        return self.outcomes.total()

    @property
    def extra_requests(self) -> float:
        """For each attempt that was interrupted."""
        return (self.requests - self.needed_requests) / max(1, self.interruptions)


def judge(world: World) -> Verdict:
    """Check every promise. Violations are collected in the verdict, not raised."""
    verdict = Verdict(requests=world.requests())
    messages = _by_session(world, 'SELECT * FROM session_messages ORDER BY session_id, "position"')
    calls = _by_session(world, "SELECT * FROM session_calls")
    events = _by_session(world, "SELECT session_id, seq, event_type FROM session_events ORDER BY session_id, seq")
    last = {row["session_id"]: row["last_seq"] for row in world.rows("SELECT * FROM session_streams")}
    for session in world.rows(_SESSIONS):
        session_id = session["id"]
        verdict.sessions += 1
        if session["status"] != "completed" or session["jobs"] != ["completed"]:
            verdict.unended.append(f"{session_id}: {session['status']}, jobs {session['jobs']} {session['errors']}")
            continue
        verdict.conversation += [f"{session_id}: {one}" for one in _conversation(messages[session_id])]
        ran = _effects(world.workspaces / str(session_id) / "workspace" / EFFECTS)
        verdict.repeated += [f"{session_id}: {one}" for one in _runs(calls[session_id], ran)]
        verdict.events += [f"{session_id}: {one}" for one in _events(events[session_id], last.get(session_id))]
        verdict.commands += len(COMMANDS)
        verdict.unknown += sum(_is_unknown(call) for call in calls[session_id])
        verdict.needed_requests += len(EXPECTED)
    verdict.reservations = [str(row["id"]) for row in world.rows(_RESERVED)]
    verdict.outcomes = Counter({row["outcome"]: row["count"] for row in world.rows(_INTERRUPTED)})
    return verdict


_SESSIONS = """
    SELECT s.id, s.status, array_agg(j.status::text) AS jobs, array_agg(j.error_message) AS errors
    FROM coding_sessions s JOIN coding_jobs j ON j.session_id = s.id GROUP BY s.id"""
_RESERVED = "SELECT id FROM session_requests WHERE cost_usd IS NULL"
_INTERRUPTED = (
    "SELECT outcome, count(*) FROM job_attempts WHERE outcome <> 'completed' AND started_at IS NOT NULL GROUP BY 1"
)


def _by_session(world: World, query: str) -> defaultdict[UUID, list[Row]]:
    found: defaultdict[UUID, list[Row]] = defaultdict(list)
    for row in world.rows(query):
        found[row["session_id"]].append(row)
    return found


def _effects(path: Path) -> Counter[str]:
    return Counter(path.read_text().split()) if path.exists() else Counter()


def _conversation(messages: list[Row]) -> list[str]:
    found = []
    if [row["position"] for row in messages] != list(range(len(messages))):
        found.append(f"positions {[row['position'] for row in messages]}")
    roles = [row["role"] for row in messages]
    if roles != [("user", "assistant")[n % 2] for n in range(len(roles))]:
        found.append(f"roles {roles}")
    replies = [said(row["content"]) for row in messages if row["role"] == "assistant"]
    if replies != EXPECTED:
        found.append(f"the model's messages {replies}")
    for asked, answered in pairwise(messages):
        asks = [block["id"] for block in asked["content"] if block["type"] == "tool_use"]
        results = [block["tool_use_id"] for block in answered["content"] if block["type"] == "tool_result"]
        if asked["role"] == "assistant" and asks != results:
            found.append(f"results {results} of the calls {asks}")
    return found


def _runs(calls: list[Row], ran: Counter[str]) -> list[str]:
    """What is wrong: a call that ran and is finished has run once, one whose outcome is not known once at most."""
    known = {call["call_id"]: call for call in calls}
    found = [f"{call_id} ran {times} times" for call_id, times in ran.items() if times > 1]
    found += [f"{call_id} ran, and nobody asked for it" for call_id in ran if call_id not in COMMANDS]
    for call_id in COMMANDS:
        if call_id not in known or known[call_id]["finished_fence"] is None:
            found.append(f"{call_id} has no result")
        elif ran[call_id] == 0 and not _is_unknown(known[call_id]):
            found.append(f"{call_id} is said to have run, and did not: {known[call_id]['result']}")
    return found


def _is_unknown(call: Row) -> bool:
    return _UNKNOWN in (call["result"] or {}).get("content", "")


def _events(events: list[Row], last: int | None) -> list[str]:
    numbers = [row["seq"] for row in events]
    found = [] if numbers == list(range(1, len(numbers) + 1)) else [f"numbers {numbers}"]
    if numbers and numbers[-1] != last:
        found.append(f"the last number is {numbers[-1]}, and said to be {last}")
    kinds = Counter(row["event_type"] for row in events)
    return found + [f"{kinds[kind]} events {kind}" for kind, times in _ONCE.items() if kinds[kind] != times]
