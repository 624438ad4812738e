"""The functions whose conditions are removed, as Postgres has them after the migrations."""

from dataclasses import dataclass

import psycopg

from tests.mutations.equivalents import EQUIVALENT
from tests.mutations.sql_terms import terms

CONDITIONS = "postgres/test_conditions"
# Each function, and the tests (in tests/integration) that run first, because they are the most likely to fail.
FUNCTIONS = {
    "claim_jobs": [
        "postgres/test_claim",
        "dispatch/test_suspects",
        "postgres/test_refused_steps",
        "dispatch/test_attempts_of_a_backlog",
        "postgres/test_queue_pauses",
    ],
    "claim_jobs_apart": [
        "postgres/test_claim_apart",
        "postgres/test_refused_claims",
        "postgres/test_refused_steps",
        "postgres/test_queue_pauses",
    ],
    "change_each": [
        "postgres/test_refused_steps",
        "postgres/test_refused_claims",
        "postgres/test_refused_next_job",
        "dispatch/test_attempts_of_a_backlog",
    ],
    "check_changed": ["postgres/test_refused_claims", "postgres/test_refused_steps"],
    "check_at_once": ["postgres/test_refused_next_job"],
    "take_back": ["postgres/test_refused_steps", "postgres/test_reclaim"],
    "route_each": ["postgres/test_refused_steps", "dispatch/test_backlog"],
    "prune_finished_jobs": ["dispatch/test_retention"],
    "happened_since": ["postgres/test_history"],
    "available_at": ["postgres/test_history"],
    "record_history": ["postgres/test_history"],
    "add_up_hours": ["postgres/test_history"],
    "prune_history": ["postgres/test_history"],
    "job_words": ["postgres/test_job_search", "postgres/test_job_indexing"],
    "words_query": ["postgres/test_job_search"],
    "search_jobs": ["postgres/test_job_search"],
    "index_jobs": ["postgres/test_job_indexing", "dispatch/test_job_index", "postgres/test_job_search"],
    "promote_due_jobs": ["postgres/test_claim", "postgres/test_attempts"],
    "promote_jobs": [
        "postgres/test_claim",
        "dispatch/test_default_queue",
        "postgres/test_refused_steps",
        "postgres/test_queue_pauses",
    ],
    "queue_room": ["postgres/test_claim"],
    "start_jobs": ["postgres/test_start", "worker/test_starts"],
    "complete_jobs": ["postgres/test_attempts", "worker/test_reports", "postgres/test_sessions"],
    "fail_jobs": ["postgres/test_attempts", "worker/test_reports", "postgres/test_sessions"],
    "fail_claims": ["postgres/test_attempts", "postgres/test_start"],
    "end_failed_attempts": [
        "postgres/test_attempts",
        "postgres/test_sessions",
        "postgres/test_reclaim",
        "postgres/test_suspicion",
    ],
    "release_jobs": [
        "postgres/test_attempts",
        "postgres/test_claim",
        "postgres/test_operators",
        "postgres/test_replay",
        "postgres/test_bulk",
        "postgres/test_releases",
    ],
    "reclaim_jobs": [
        "postgres/test_reclaim",
        "postgres/test_reclaim_locks",
        "dispatch/test_recovery",
        "dispatch/test_suspects",
        "postgres/test_refused_steps",
    ],
    "claim_suspects": [
        "dispatch/test_suspects",
        "postgres/test_suspicion",
        "postgres/test_refused_steps",
        "postgres/test_queue_pauses",
    ],
    "isolated_until": ["dispatch/test_suspects", "postgres/test_suspicion"],
    "suspicion": ["postgres/test_suspicion"],
    "declare_lost": ["postgres/test_suspicion"],
    "keep_claims": ["dispatch/test_suspects"],
    "heartbeat_worker": ["worker/test_heartbeat"],
    "drain_worker": ["worker/test_heartbeat"],
    "resume_worker": ["worker/test_heartbeat"],
    "claim_next_job": [
        "postgres/test_original_functions",
        "postgres/test_job_queue",
        "postgres/test_refused_next_job",
        "postgres/test_queue_pauses",
    ],
    "complete_job": ["postgres/test_original_functions", "postgres/test_job_queue"],
    "fail_job": ["postgres/test_original_functions", "postgres/test_job_queue"],
    "cancel_jobs": ["postgres/test_operators", "postgres/test_bulk"],
    "retry_jobs": ["postgres/test_operators", "postgres/test_bulk"],
    "pause_queue": ["postgres/test_queue_pauses"],
    "resume_queue": ["postgres/test_queue_pauses"],
    "replay_jobs": ["postgres/test_replay", "postgres/test_bulk"],
    "replay_job": ["postgres/test_replay"],
    "plan_bulk_operation": ["postgres/test_bulk"],
    "start_bulk_operation": ["postgres/test_bulk"],
    "stop_bulk_operation": ["postgres/test_bulk"],
    "act_on_batch": ["postgres/test_bulk"],
    "run_bulk_batch": ["postgres/test_bulk", "dispatch/test_bulk"],
    "dead_letters": ["web/test_dead", "postgres/test_fingerprint"],
    "add_session_events": ["postgres/test_events", "postgres/test_event_numbers"],
    "put_session_bundle": ["postgres/test_bundles", "sessions/test_other_sessions"],
    "take_event_numbers": ["postgres/test_event_numbers"],
    "number_events": ["postgres/test_event_numbers"],
    "count_new_jobs": ["postgres/test_statistics"],
    "notify_new_job": ["postgres/test_triggers", "dispatch/test_notification_relay"],
    "promise_relay": ["dispatch/test_notification_relay"],
    "relay_notifications": ["dispatch/test_notification_relay"],
    "relay_state": ["dispatch/test_notification_relay"],
    "update_sessions": ["postgres/test_sessions", "postgres/test_refused_sessions"],
    "settle_sessions": ["postgres/test_refused_sessions"],
    "note_refused_session": ["postgres/test_refused_sessions"],
    "keep_actor_queues": ["dispatch/test_routing", "dispatch/test_backlog"],
    "route_new_job": [
        "dispatch/test_routing",
        "dispatch/test_attempts_of_a_backlog",
        "postgres/test_enqueue",
        "postgres/test_actor_options",
    ],
    "hold_turn": ["sessions/test_other_sessions", "sessions/test_record", "postgres/test_turns"],
    "begin_turn": ["sessions/test_other_sessions", "sessions/test_record", "postgres/test_turns"],
    "end_turn": ["sessions/test_other_sessions", "sessions/test_record", "postgres/test_turns"],
    "set_turn_progress": ["sessions/test_other_sessions", "sessions/test_record", "postgres/test_turns"],
    "add_messages": ["sessions/test_other_sessions", "sessions/test_record", "postgres/test_turns"],
    "start_call": ["sessions/test_other_sessions", "sessions/test_record", "postgres/test_turns"],
    "finish_call": ["sessions/test_other_sessions", "sessions/test_record", "postgres/test_turns"],
    "add_turn_events": ["sessions/test_other_sessions", "sessions/test_record", "postgres/test_turns"],
    "prolong_session": ["sessions/test_other_sessions", "sessions/test_record", "postgres/test_turns"],
    "reserve_usage": ["sessions/test_other_sessions", "sessions/test_budgets", "sessions/test_record"],
    "spend_usage": ["sessions/test_other_sessions", "sessions/test_budgets", "postgres/test_turns"],
    "completed_status": ["sessions/test_record"],
    "session_events_after": ["postgres/test_catch_up"],
    "enqueue_sent_prompt": ["sessions/test_other_sessions", "sessions/test_prompts"],
    "enqueue_turn": ["sessions/test_other_sessions", "sessions/test_prompts"],
    "open_session": ["sessions/test_other_sessions", "sessions/test_prompts"],
    "send_prompt": ["sessions/test_other_sessions", "sessions/test_prompts"],
    "answer_question": ["sessions/test_other_sessions", "sessions/test_prompts"],
    "answer_open_question": ["sessions/test_other_sessions", "sessions/test_prompts"],
    "continue_session": ["sessions/test_other_sessions", "sessions/test_prompts"],
    "cancel_session": ["sessions/test_other_sessions", "sessions/test_prompts"],
    "route_jobs": [
        "dispatch/test_backlog",
        "dispatch/test_default_queue",
        "postgres/test_reclaim",
        "postgres/test_refused_steps",
        "postgres/test_queue_pauses",
    ],
}
# The slow ones last.
ALL_TESTS = [
    *(
        "postgres/test_claim",
        "postgres/test_start",
        "worker/test_starts",
        "postgres/test_attempts",
        "worker/test_reports",
        "postgres/test_reclaim",
        "postgres/test_reclaim_locks",
        "dispatch/test_recovery",
        "worker/test_heartbeat",
        "postgres/test_operators",
        "postgres/test_queue_pauses",
        "postgres/test_original_functions",
        "postgres/test_job_queue",
        "postgres/test_refused_steps",
        "postgres/test_refused_claims",
        "postgres/test_refused_next_job",
        "postgres/test_claim_apart",
        "dispatch/test_retention",
        "postgres/test_statistics",
        "postgres/test_events",
        "postgres/test_event_numbers",
        "postgres/test_sessions",
        "postgres/test_refused_sessions",
        "dispatch/test_suspects",
        "postgres/test_suspicion",
        "dispatch/test_routing",
        "dispatch/test_backlog",
        "dispatch/test_attempts_of_a_backlog",
        "dispatch/test_notification_relay",
        "postgres/test_history",
        "postgres/test_turns",
        "postgres/test_catch_up",
        "sessions/test_other_sessions",
        "sessions/test_record",
        "sessions/test_budgets",
        "sessions/test_prompts",
        "postgres/test_job_search",
        "postgres/test_job_indexing",
        CONDITIONS,
    ),
    *("test_state_machine", "test_pairs"),
]


class NothingToMutateError(Exception):
    """A function, or a term that is listed for it, no longer exists."""


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
        """Why the mutant behaves like the original."""
        return EQUIVALENT.get(self.name)

    @property
    def own_tests(self) -> list[str]:
        return [f"tests/integration/{name}.py" for name in (*FUNCTIONS[self.function], CONDITIONS)]

    @property
    def tests(self) -> list[str]:
        others = [name for name in ALL_TESTS if name not in (*FUNCTIONS[self.function], CONDITIONS)]
        return self.own_tests + [f"tests/integration/{name}.py" for name in others]


def mutants(dsn: str) -> list[Mutant]:
    """All mutants. Raises NothingToMutateError if a function, its conditions or a listed term do not exist."""
    found = [mutant for function in FUNCTIONS for mutant in _of(dsn, function)]
    if unknown := set(EQUIVALENT) - {mutant.name for mutant in found}:
        raise NothingToMutateError(f"equivalents.py lists what is not there: {', '.join(sorted(unknown))}")
    return found


def _of(dsn: str, function: str) -> list[Mutant]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT coalesce(pg_get_function_sqlbody(oid), prosrc), pg_get_functiondef(oid) FROM pg_proc"
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
