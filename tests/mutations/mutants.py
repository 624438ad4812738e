"""The functions to take conditions from, as Postgres has them after the migrations."""

from dataclasses import dataclass

import psycopg

from tests.mutations.equivalents import EQUIVALENT
from tests.mutations.sql_terms import terms

# Each function, and the tests most likely to notice, first.
FUNCTIONS = {
    "claim_jobs": ["claim", "suspects", "refused_steps"],
    "claim_jobs_apart": ["claim_apart", "refused_steps"],
    "change_each": ["refused_steps"],
    "check_changed": ["refused_steps"],
    "check_at_once": ["refused_steps"],
    "take_back": ["refused_steps", "reclaim"],
    "route_each": ["refused_steps", "routing"],
    "prune_finished_jobs": ["retention"],
    "promote_due_jobs": ["claim", "reports"],
    "promote_jobs": ["claim", "default_queue", "refused_steps"],
    "queue_room": ["claim"],
    "start_jobs": ["start"],
    "complete_jobs": ["reports", "sessions"],
    "fail_jobs": ["reports", "sessions"],
    "fail_claims": ["reports", "start"],
    "end_failed_attempts": ["reports", "sessions", "reclaim"],
    "release_jobs": ["reports", "claim", "operators"],
    "reclaim_jobs": ["reclaim", "reclaim_locks", "reclaim_grace", "suspects", "refused_steps"],
    "claim_suspects": ["suspects", "refused_steps"],
    "keep_claims": ["suspects"],
    "heartbeat_worker": ["heartbeats"],
    "claim_next_job": ["original_functions", "refused_steps"],
    "complete_job": ["original_functions"],
    "fail_job": ["original_functions"],
    "cancel_job": ["operators"],
    "retry_job": ["operators"],
    "add_session_events": ["events", "event_numbers"],
    "take_event_numbers": ["event_numbers"],
    "number_events": ["event_numbers"],
    "settle_sessions": ["sessions"],
    "keep_actor_queues": ["routing"],
    "route_new_job": ["routing", "enqueue"],
    "route_jobs": ["routing", "reclaim", "refused_steps"],
}
# The slow ones last.
ALL_TESTS = [
    *(
        "claim",
        "start",
        "reports",
        "reclaim",
        "reclaim_locks",
        "reclaim_grace",
        "heartbeats",
        "operators",
        "original_functions",
        "refused_steps",
        "claim_apart",
        "retention",
        "events",
        "event_numbers",
        "sessions",
        "suspects",
        "routing",
        "guards",
    ),
    *("state_machine", "pairs"),
]


class NothingToMutateError(Exception):
    """A function, or what is said of one, is no longer there."""


@dataclass(frozen=True)
class Mutant:
    function: str
    term: str
    number: int  # among the equal terms of the function
    definition: str

    @property
    def name(self) -> str:
        return f"{self.function}: {self.term}" + (f" (no. {self.number})" if self.number > 1 else "")

    @property
    def reason(self) -> str | None:
        """Why nothing can tell it from the original."""
        return EQUIVALENT.get(self.name)

    @property
    def own_tests(self) -> list[str]:
        return [f"tests/integration/test_{name}.py" for name in (*FUNCTIONS[self.function], "guards")]

    @property
    def tests(self) -> list[str]:
        others = [name for name in ALL_TESTS if name not in (*FUNCTIONS[self.function], "guards")]
        return self.own_tests + [f"tests/integration/test_{name}.py" for name in others]


def mutants(dsn: str) -> list[Mutant]:
    """All of them. Raises NothingToMutateError when a function, its conditions or a listed term are not there."""
    found = [mutant for function in FUNCTIONS for mutant in _of(dsn, function)]
    if unknown := set(EQUIVALENT) - {mutant.name for mutant in found}:
        raise NothingToMutateError(f"equivalents.py lists what is not there: {', '.join(sorted(unknown))}")
    return found


def _of(dsn: str, function: str) -> list[Mutant]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT prosrc, pg_get_functiondef(oid) FROM pg_proc"
            " WHERE proname = %s AND pronamespace = 'public'::regnamespace",
            [function],
        ).fetchall()
    if len(rows) != 1:
        raise NothingToMutateError(f"there are {len(rows)} functions named {function}")
    body, definition = rows[0]
    found: list[Mutant] = []
    for term in terms(body):
        number = 1 + sum(other.term == term.text for other in found)
        found.append(Mutant(function, term.text, number, definition.replace(body, term.dropped_from(body))))
    if not found:
        raise NothingToMutateError(f"no condition found in {function}")
    return found
