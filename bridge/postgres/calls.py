"""Calls of the functions that `sql/functions` and `sql/triggers` define, each under the function's name.

Columns are named, because a later version of a function may return more. Parameters are in the function's order, with
the names that callers here use, and with a type where the driver cannot infer it.
"""

_REPORTS = "ids uuid[], fences bigint[], execs uuid[]"
_TURN = "job_id, fence"
_TOKENS = "input_tokens, output_tokens, cache_write_tokens, cache_read_tokens"
_EVENTS = "types text[], data text[]::jsonb[]"
_SPANS = "queues text[], rooms integer[], lows integer[], highs integer[], afters bigint[]"

# Function that returns rows → its columns, its parameters.
_ROWS = {
    "queue_room": ("queue, room, slots, shared_with, lowest", ""),
    "claim_jobs": ("job_id, fence, queue, actor, priority, seq", f"bridge, limit, lease, {_SPANS}"),
    "claim_jobs_apart": (
        "job_id, fence, queue, actor, priority, seq, refusal",
        f"bridge, limit, lease, {_SPANS}, skip uuid[]",
    ),
    "claim_next_job": ("job_id, session_id, prompt, priority", ""),
    "waiting_claims": (
        "job_id, fence, queue, actor, priority, alone AS isolated, throughout AS isolated_until_end",
        "age, limit",
    ),
    "keep_claims": ("id", "ids uuid[], fences bigint[], lease"),
    "fail_claims": ("job_id, status", "ids uuid[], fences bigint[], errors text[]"),
    "start_jobs": (
        "position, session_id, prompt, payload, priority, attempt, is_last, queue, actor",
        f"worker, {_REPORTS}",
    ),
    "fail_jobs": ("job_id, status", f"{_REPORTS}, errors text[], finals boolean[], delays interval[]"),
    "cancel_attempts": ("job_id", f"{_REPORTS}, errors text[]"),
    "release_jobs": ("job_id", f"{_REPORTS}, delays interval[], error"),
    "heartbeat_worker": ("verdict, job_id, exec, fence", "worker, lease, draining, ids uuid[], execs uuid[]"),
    "get_queue_stats": (
        "pending_count, processing_count, completed_count, failed_count, oldest_pending_age",
        "",
    ),
    "get_session_events": ("id, event_type, data, created_at", "session, limit"),
    "relay_state": ("promised, drained, after", "after xid8"),
    "follow_sessions": (
        "session_id, seq, id, event_type, data, created_at",
        "sessions uuid[], afters bigint[], limit",
    ),
    "dead_letters": (
        "fingerprint, jobs, is_all, first_at, last_at, example, error, queues, actors",
        "after, groups, jobs, error_most",
    ),
    "begin_turn": ("session_id, turn, state, messages, position", "job_id, fence, lifetime"),
    "send_prompt": ("state, job_id", "session uuid, user uuid, prompt text, most integer"),
    "answer_question": ("state, job_id", "session uuid, user uuid, call_id text, text text"),
    "continue_session": ("state, job_id", "session uuid, user uuid"),
    "reserve_usage": (
        "scope, spent_usd, limit_usd",
        "job_id, fence, request, usd numeric, turn_usd numeric, session_usd numeric, day_usd numeric",
    ),
    "run_bulk_batch": ("id, action, state, done, skipped, refusal, wait", "limit, looked_at"),
    "index_jobs": ("indexed, more", "limit, looked_at"),
    "prune_finished_jobs": ("pruned, kept, kept_by, last_at, last_id, more", "age, limit, at, id"),
}
# Function that returns one value or none → the name of the value, or an empty text; its parameters.
_VALUES = {
    "complete_job": ("", "id"),
    "fail_job": ("will_retry", "id, error"),
    "add_session_events": (
        "stored",
        "events uuid[], ids uuid[], execs uuid[], types text[], data text[]::jsonb[]",
    ),
    "end_turn": ("held", f"{_TURN}, state, question jsonb, lifetime, {_EVENTS}"),
    "set_turn_progress": ("held", f"{_TURN}, progress real, {_EVENTS}"),
    "add_messages": (
        "held",
        f"{_TURN}, position integer, begins, roles text[], contents text[]::json[], prompts bigint[], {_EVENTS}",
    ),
    "start_call": ("held", f"{_TURN}, call, tool, input json, {_EVENTS}"),
    "finish_call": ("held", f"{_TURN}, call, result json, {_EVENTS}"),
    "spend_usage": (
        "held",
        f"{_TURN}, request, model, {_TOKENS}, cost_usd numeric",
    ),
    "put_session_bundle": ("held", "job_id, fence, base, commit, data"),
    "cancel_session": ("cancelled", "session uuid, user uuid, by text"),
    "register_worker": ("", "worker, name, slots, queues text[], actor_options jsonb, version, lease"),
    "hold_worker_link": ("held", "worker, pid, grace"),
    "declare_lost": ("", "worker, ended_by uuid"),
    "stop_worker": ("", "worker"),
    "prune_workers": ("", "age"),
    "fold_job_counts": ("folded", "limit"),
    "plan_bulk_operation": ("id", "action, filter, conditions jsonb, by, counts boolean"),
    "start_bulk_operation": ("state", "id, by, reason, rate integer"),
    "stop_bulk_operation": ("state", "id, by"),
    "record_history": ("minutes", ""),
    "prune_history": ("deleted", "limit"),
    "promise_relay": ("promised", "bridge, time"),
    "relay_notifications": ("sent", "limit"),
    "mobvibe_schema_version": ("version", ""),
}


def calls() -> dict[str, str]:
    """Function → the statement that calls it. It is made of the names above only: values are parameters."""
    rows = {name: _rows(name, columns, parameters) for name, (columns, parameters) in _ROWS.items()}
    values = {name: _value(name, column, parameters) for name, (column, parameters) in _VALUES.items()}
    return rows | values


def _rows(function: str, columns: str, parameters: str) -> str:
    alias = "r" if "," in columns else f"r ({columns})"  # a set of single values has no column name
    return f"SELECT {columns} FROM public.{function}({_arguments(parameters)}) AS {alias}"  # noqa: S608 -- of constants


def _value(function: str, column: str, parameters: str) -> str:
    return f"SELECT public.{function}({_arguments(parameters)})" + (f" AS {column}" if column else "")


def _arguments(parameters: str) -> str:
    return ", ".join(_argument(*one.split(" ")) for one in parameters.split(", ") if one)


def _argument(name: str, type_: str | None = None) -> str:
    return f"%({name})s::{type_}" if type_ else f"%({name})s"
