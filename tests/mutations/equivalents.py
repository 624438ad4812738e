"""Terms whose removal changes no answer and no row, each with the reason. They are not tried."""

_DUE = "a job that is not due has a run_at ahead, which the condition on run_at asks for; this one is for the index"
_NULL = "settle_sessions finds no session for NULL; this saves the look-up"
_STARTED = "what has an exec was claimed by a bridge, as start_jobs asks; the condition on claimed_by covers it"
_ASKED_AGAIN = "end_failed_attempts asks for it again, and the row is locked"
_MOVED_BELOW = "the statements below ask for it again; this saves them for a queue with nothing to move or to report"
_QUEUES = "a queue without ready jobs then takes part, and gives none; this one is for the index"
_NONE_DEFERRED = "check_at_once looks for such constraints itself; this saves the call where there is none"

_NEVER = "isolated_until says never for the others; this one is for the index"
_ANY = "without it the statement below finds nothing all the same; this saves work while there is no suspect"
_ANY_DUE = "without it the statement below finds nothing all the same; this saves the triggers of an UPDATE of no rows"
_NUMBERED = "all is numbered by then, and the statement below finds nothing; this saves it for each row after the first"
_PROVISIONAL = (
    "provisional numbers are negative, differ from each other, and only this transaction's are seen; for the index"
)

_READ_LESS = "what happened before is left out below by its time; this one is for the index"

EQUIVALENT: dict[str, str] = {
    "happened_since: j.status IN ('completed', 'failed', 'cancelled')": "only ended jobs have an end; for the index",
    "happened_since: j.completed_at >= p_since": _READ_LESS,
    "happened_since: j.created_at >= p_since": _READ_LESS,
    "happened_since: a.finished_at >= p_since": _READ_LESS,
    "add_up_hours: m.at >= p_since": "earlier hours are added up again, to the same; this saves the work",
    "add_up_hours: m.at >= p_since (no. 2)": "earlier hours are added up again, to the same; this saves the work",
    "number_events: NOT EXISTS (SELECT FROM public.session_events e WHERE e.seq = NEW.seq AND e.seq < 0)": _NUMBERED,
    "number_events: e.seq = NEW.seq": _NUMBERED,
    "number_events: e.seq < 0": _PROVISIONAL,
    "number_events: e.seq <= NEW.seq": _PROVISIONAL,
    "number_events: e.seq < 0 (no. 2)": _PROVISIONAL,
    "number_events: e.seq < 0 (no. 3)": _PROVISIONAL,
    "claim_jobs: j.due": _DUE,
    "claim_jobs: q.queue = ANY (p_queues)": "a lane is only looked up for the queues asked for; this saves the others",
    "promote_jobs: a.queue <> 'coding'": "an actor whose queue is the default one leaves its job where it is",
    "end_failed_attempts: o.exec IS NOT NULL": "a job that is not started has no worker, and makes no group of one",
    "add_messages: m.session_id = held.session_id": "all messages of a job are in its session; for the index",
    "add_session_events: j.id = e.job (no. 2)": "exec is a job's own; this one is for the index",
    "claim_jobs_apart: j.due": _DUE,
    "claim_jobs_apart: q.queue = ANY (p_queues)": "as in claim_jobs",
    "take_back: r.outcome = 'released'": "the others have ended by then, and release_jobs takes none that has",
    "route_each: cardinality(p_ids) = 0": "change_each changes nothing then; this saves its work",
    "promote_due_jobs: NOT EXISTS (SELECT FROM public.coding_jobs s"
    " WHERE s.status = 'pending' AND NOT s.due AND s.run_at <= this_moment)": _ANY_DUE,
    "promote_due_jobs: s.status = 'pending'": _ANY_DUE,
    "promote_due_jobs: NOT s.due": _ANY_DUE,
    "promote_due_jobs: s.run_at <= this_moment": _ANY_DUE,
    "claim_next_job: j.due (no. 3)": _DUE,
    "claim_next_job: j.status = 'pending'": _QUEUES,
    "claim_next_job: j.due": _QUEUES,
    "claim_next_job: j.status = 'pending' (no. 2)": _QUEUES,
    "claim_next_job: j.due (no. 2)": _QUEUES,
    "claim_next_job: j.queue = q.queue": "each queue then offers the best job of all, which wins anyway",
    "route_jobs: j.status = 'pending'": _QUEUES,
    "route_jobs: j.due": _QUEUES,
    "route_jobs: j.status = 'pending' (no. 2)": _QUEUES,
    "route_jobs: j.due (no. 2)": _QUEUES,
    "route_jobs: q.queue IS NOT NULL (no. 2)": "no job is in the queue NULL; this saves the look",
    "route_jobs: j.status = 'pending' (no. 3)": _MOVED_BELOW,
    "route_jobs: j.due (no. 3)": _MOVED_BELOW,
    "route_jobs: j.queue = place": _MOVED_BELOW,
    "route_jobs: j.actor <> ALL (served)": _MOVED_BELOW,
    "queue_room: j.exec IS NOT NULL": _STARTED,
    "queue_room: NOT h.waiting": "a job that waits for its start has no worker",
    "heartbeat_worker: j.exec IS NOT NULL": "a row without an exec has no worker either",
    "complete_job: j.exec IS NULL": _STARTED,
    "fail_job: j.exec IS NULL": _STARTED,
    "start_jobs: m.session_id IS NOT NULL": _NULL,
    "complete_jobs: d.session_id IS NOT NULL": _NULL,
    "complete_job: d.session_id IS NOT NULL": _NULL,
    "release_jobs: b.session_id IS NOT NULL": _NULL,
    "end_failed_attempts: e.session_id IS NOT NULL": _NULL,
    "claim_suspects: NOT EXISTS (SELECT FROM public.coding_jobs j WHERE j.status = 'pending' AND j.crashes > 0"
    " AND public.isolated_until(j.crashes, j.retry_count, j.max_retries, this_moment) > '-infinity')": _ANY,
    "claim_suspects: public.isolated_until(j.crashes, j.retry_count, j.max_retries, this_moment) > '-infinity'": _ANY,
    "claim_suspects: j.status = 'pending'": _ANY,
    "claim_suspects: j.crashes > 0": _ANY,
    "claim_suspects: j.crashes > 0 (no. 2)": _NEVER,
    "claim_suspects: s.crashes > 0": _NEVER,
    "fail_jobs: j.status || '' = 'processing'": _ASKED_AGAIN,
    "fail_claims: j.status || '' = 'processing'": _ASKED_AGAIN,
    "cancel_jobs: c.session_id IS NOT NULL": _NULL,
    "cancel_session: j.status IN ('pending', 'processing')": "cancel_jobs asks for it again; this saves the others",
    "replay_jobs: o.queue = 'coding'": "the trigger that reads the setting fires for that queue only",
    "update_sessions: changed < found": "what is asked for then has its own conditions; this saves the look-up",
    "settle_sessions: c.conrelid = 'public.coding_sessions'::regclass": _NONE_DEFERRED,
    "settle_sessions: c.condeferred": _NONE_DEFERRED,
    "settle_sessions: coalesce(cardinality(p_sessions), 0) = 0": "an empty array matches no session; this saves work",
}
