"""What the user of a session sends: prompts, answers, the wish to go on or to stop."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.postgres.link import Link
from bridge.postgres.session_requests import session_turn
from bridge.sessions import OverBudget, open_record
from tests.support.rows import Rows
from tests.support.turns import USER, TurnSteps, said
from tests.support.waiting import eventually

CALLS = {
    "send_prompt": "SELECT * FROM send_prompt(%(session)s, %(user)s, 'more', 3)",
    "answer_question": "SELECT * FROM answer_question(%(session)s, %(user)s, %(call)s, 'red')",
    "continue_session": "SELECT * FROM continue_session(%(session)s, %(user)s)",
}


def call(rows: Rows, name: str, session_id: UUID, user: UUID = USER, call_id: str | None = None) -> dict[str, Any]:
    found = rows.all(CALLS[name], {"session": session_id, "user": user, "call": call_id})
    return found[0] if found else {}


def waits_for_lock(rows: Rows, connection: psycopg.Connection[Any]) -> bool:
    pid = connection.info.backend_pid
    return bool(rows.all("SELECT FROM pg_locks WHERE pid = %s AND NOT granted", [pid]))


def job_of(rows: Rows, answer: dict[str, Any]) -> dict[str, Any]:
    return rows.job(answer["job_id"])


def asking(turns: TurnSteps, session_id: UUID) -> None:
    """A turn of this session has ended with a question."""
    job, held = turns.start(session_id)
    record = open_record(job)
    record.add_message(said("assistant", "?"))
    record.ask("q1", "Which colour?")
    turns.steps.complete(held)


def test_a_prompt_to_an_idle_session_becomes_a_job_of_the_same_actor(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    for priority in (3, 7):  # of the first turn, and of the last
        job, held = turns.start(job_id=rows.add_job(session_id=session_id, priority=priority))
        open_record(job).finish()
        turns.steps.complete(held)

    sent = call(rows, "send_prompt", session_id)

    row = job_of(rows, sent)
    assert sent["state"] == "idle"
    assert (row["prompt"], row["priority"], row["actor"], row["queue"]) == ("more", 7, "run_coding_session", "coding")
    assert rows.one("SELECT job_id, taken_at IS NOT NULL AS taken FROM session_inbox") == {
        "job_id": row["id"],
        "taken": True,
    }


def test_a_prompt_becomes_one_job(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    for prompt in ("first", "second"):
        sent = rows.one("SELECT * FROM send_prompt(%s, %s, %s, 3)", [session_id, USER, prompt])
        assert job_of(rows, sent)["prompt"] == prompt
        rows.all("UPDATE coding_jobs SET status = 'failed'")


def test_later_jobs_name_the_repository_that_the_session_starts_from(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    repository = {"url": "https://github.com/a/b", "branch": "c"}
    rows.add_job(session_id=turns.add_session(), payload={"repository": {"url": "https://github.com/another/one"}})
    for payload in ({}, {"repository": repository, "else": 1}):
        rows.add_job(session_id=session_id, status="failed", payload=payload)

    goes_on = job_of(rows, call(rows, "continue_session", session_id))
    rows.all("UPDATE coding_jobs SET status = 'failed' WHERE id = %s", [goes_on["id"]])
    sent = job_of(rows, call(rows, "send_prompt", session_id))

    assert goes_on["payload"] == {"continue": True, "repository": repository}
    assert sent["payload"] == {"repository": repository}


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_a_prompt_during_a_turn_or_before_it_waits_in_the_inbox(turns: TurnSteps, rows: Rows, status: str) -> None:
    session_id = turns.add_session()
    if status == "pending":
        rows.add_job(session_id=session_id)
    else:
        turns.open(session_id)

    assert [call(rows, "send_prompt", session_id) for _ in range(4)] == [
        *[{"state": "working", "job_id": None}] * 3,
        {"state": "full", "job_id": None},
    ]
    assert call(rows, "send_prompt", session_id, UUID(int=1)) == {}, "nobody else hears that it is full"
    assert rows.value("SELECT count(*) FROM session_inbox") == 3
    assert rows.value("SELECT count(*) FROM coding_jobs") == 1


def test_prompts_that_were_taken_make_no_inbox_full(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    record = turns.open(session_id)
    for _ in range(3):
        call(rows, "send_prompt", session_id)
    record.take_prompts()
    record.add_message(said("user", "more, more, and more"))

    assert call(rows, "send_prompt", session_id)["state"] == "working"


def test_a_prompt_after_the_end_of_a_turn_does_not_wait_for_its_report(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    turns.open(session_id).finish()  # its job is still in processing

    assert call(rows, "send_prompt", session_id)["state"] == "idle"


def test_a_prompt_that_a_failed_turn_left_comes_first(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    open_record(job)
    rows.all("SELECT send_prompt(%s, %s, 'first', 20)", [session_id, USER])
    turns.steps.fail(held, final=True)

    sent = call(rows, "send_prompt", session_id)

    assert job_of(rows, sent)["prompt"] == "first"
    assert open_record(turns.start(job_id=sent["job_id"])[0]).take_prompts() == ["more"]


def test_a_prompt_that_a_failed_turn_left_is_taken_when_the_session_goes_on(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    open_record(job)
    call(rows, "send_prompt", session_id)
    turns.steps.fail(held, final=True)
    assert rows.value("SELECT count(*) FROM coding_jobs") == 1, "nothing begins by itself"

    continued = call(rows, "continue_session", session_id)

    assert open_record(turns.start(job_id=continued["job_id"])[0]).take_prompts() == ["more"]


def test_prompts_that_are_sent_while_a_turn_ends_are_not_lost(turns: TurnSteps, rows: Rows, dsn: str) -> None:
    for _ in range(10):
        session_id = turns.add_session()
        record = turns.open(session_id)
        link = Link(dsn, "web")

        with ThreadPoolExecutor(2) as pool:
            sent = pool.submit(link.connection.execute, "SELECT send_prompt(%s, %s, 'more', 20)", [session_id, USER])
            pool.submit(record.finish).result(10)
            sent.result(10)
        link.close()

        assert (
            rows.value("SELECT count(*) FROM coding_jobs WHERE session_id = %s AND prompt = 'more'", [session_id]) == 1
        )


@pytest.mark.parametrize("name", CALLS)
def test_a_session_of_somebody_else_is_as_one_that_is_not_there(turns: TurnSteps, rows: Rows, name: str) -> None:
    session_id = turns.add_session()
    asking(turns, session_id)

    assert call(rows, name, session_id, UUID(int=1)) == call(rows, name, uuid4()) == {}

    assert rows.value("SELECT count(*) FROM coding_jobs") == 1


def test_an_operator_acts_on_any_session(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()

    assert rows.value("SELECT state FROM send_prompt(%s, NULL, 'more', 3)", [session_id]) == "idle"
    assert rows.value("SELECT cancel_session(%s, NULL, 'ann')", [session_id]) == 1


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "over", ["status = 'expired'", "expires_at = now() - interval '1 minute'"], ids=["by status", "by time"]
)
def test_an_expired_session_takes_nothing(turns: TurnSteps, rows: Rows, name: str, over: str) -> None:
    for session_id in (turns.add_session(), turns.add_session()):
        rows.all(f"UPDATE coding_sessions SET {over} WHERE id = %s", [session_id])
        assert call(rows, name, session_id) == {"state": "expired", "job_id": None}
    rows.all("UPDATE coding_sessions SET status = 'active', expires_at = now() + interval '1 minute'")
    asking(turns, session_id)
    rows.all(f"UPDATE coding_sessions SET {over} WHERE id = %s", [session_id])

    assert call(rows, name, session_id) == {"state": "expired", "job_id": None}


def test_a_session_whose_time_passes_during_a_turn_takes_prompts(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    turns.open(session_id)
    rows.all("UPDATE coding_sessions SET expires_at = now() - interval '1 minute'")

    assert call(rows, "send_prompt", session_id)["state"] == "working"


def test_a_question_is_answered_once(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    asking(turns, session_id)

    assert call(rows, "answer_question", session_id, call_id="q0") == {"state": "other", "job_id": None}
    first = call(rows, "answer_question", session_id, call_id="q1")
    second = call(rows, "answer_question", session_id, call_id="q1")

    assert (first["state"], second) == ("asked", {"state": "working", "job_id": None})
    row = job_of(rows, first)
    assert (row["prompt"], row["payload"]) == ("red", {"answer": {"callId": "q1", "text": "red"}})
    assert rows.one("SELECT state, answer FROM session_turns") == {"state": "answered", "answer": "red"}
    assert turns.events(session_id) == [], "the turn stores it, without secrets"


def test_answers_at_once_make_one_job(turns: TurnSteps, rows: Rows, dsn: str) -> None:
    session_id = turns.add_session()
    asking(turns, session_id)

    def answer(_: int) -> str:
        link = Link(dsn, "web")
        row = link.connection.execute(
            CALLS["answer_question"], {"session": session_id, "user": USER, "call": None}
        ).fetchone()
        link.close()
        return str(row["state"]) if row else ""

    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(answer, range(5))) == ["asked", *["working"] * 4]
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'pending'") == 1


def test_a_prompt_answers_an_open_question(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    asking(turns, session_id)

    sent = call(rows, "send_prompt", session_id)

    assert sent["state"] == "asked"
    assert job_of(rows, sent)["payload"] == {"answer": {"callId": "q1", "text": "more"}}
    assert rows.all("SELECT * FROM session_inbox") == []


@pytest.mark.parametrize(("name", "text"), [("send_prompt", "more"), ("answer_question", "red")])
def test_what_is_said_to_a_question_about_a_budget_is_a_prompt(
    turns: TurnSteps, rows: Rows, name: str, text: str
) -> None:
    session_id = turns.add_session()
    turns.open(session_id).ask_to_go_on(OverBudget("turn", 1.0, 1.0))

    row = job_of(rows, call(rows, name, session_id))

    assert (row["prompt"], row["payload"]) == (text, {"continue": True})
    assert rows.value("SELECT state FROM session_turns") == "answered"


def test_only_a_question_about_a_budget_is_answered_by_going_on(turns: TurnSteps, rows: Rows) -> None:
    session_id, other = turns.add_session(), turns.add_session()
    asking(turns, session_id)
    job, held = turns.start(other)
    open_record(job).ask_to_go_on(OverBudget("turn", 1.0, 1.0))
    turns.steps.complete(held)

    assert call(rows, "continue_session", session_id) == {"state": "asked", "job_id": None}
    assert job_of(rows, call(rows, "continue_session", other))["payload"] == {"continue": True}
    assert call(rows, "continue_session", other) == {"state": "working", "job_id": None}


def test_a_failed_session_goes_on(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    open_record(job).add_message(said("user", "hello"))
    turns.steps.fail(held, final=True)
    assert rows.session(session_id)["status"] == "failed"

    record = open_record(turns.start(job_id=call(rows, "continue_session", session_id)["job_id"])[0])

    assert (record.number, record.messages()) == (2, [said("user", "hello")])
    assert rows.session(session_id)["status"] == "active"


def test_a_cancel_ends_jobs_questions_and_prompts(turns: TurnSteps, rows: Rows) -> None:
    working, paused, others = (turns.add_session() for _ in range(3))
    turns.open(working)
    rows.add_job(session_id=working)
    call(rows, "send_prompt", working)
    asking(turns, paused)
    turns.add_session(user_id=UUID(int=1))
    rows.all("INSERT INTO session_inbox (session_id, prompt, taken_at) VALUES (%s, 'taken', now())", [working])
    kept = rows.add_job(session_id=others)
    cancel = "SELECT cancel_session(%s, %s, 'the user')"

    assert rows.value(cancel, [working, USER]) == 2
    assert rows.value(cancel, [paused, USER]) == 0
    assert rows.value(cancel, [others, UUID(int=1)]) is None

    assert rows.all("SELECT prompt FROM session_inbox") == [{"prompt": "taken"}]
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE cancel_requested_at IS NOT NULL") == 2
    assert rows.value("SELECT state FROM session_turns WHERE session_id = %s", [paused]) == "abandoned"
    session = rows.session(paused)
    assert (session["status"], session["error_message"]) == ("failed", "cancelled by the user")
    assert rows.status(kept) == "pending"
    assert call(rows, "send_prompt", working)["state"] == "idle", "the next prompt does not wait for what was cancelled"


def test_a_cancel_ends_what_the_end_of_a_turn_begins_at_the_same_time(turns: TurnSteps, rows: Rows, dsn: str) -> None:
    session_id = turns.add_session()
    job, _ = turns.start(session_id)
    open_record(job)
    call(rows, "send_prompt", session_id)
    with psycopg.connect(dsn) as turn, psycopg.connect(dsn) as user, ThreadPoolExecutor(1) as pool:
        turn.execute(
            "SELECT end_turn(%s, %s, 'finished', NULL, interval '30 minutes', '{}', '{}')", [job.id, job.fence]
        )
        cancel = pool.submit(user.execute, "SELECT cancel_session(%s, %s, 'the user')", [session_id, USER])
        eventually(lambda: waits_for_lock(rows, user), what="the cancel to wait for the end of the turn")
        turn.commit()
        assert cancel.result(10).fetchone() == (2,)
        user.commit()

    assert rows.all("SELECT id FROM coding_jobs WHERE cancel_requested_at IS NULL") == []
    assert rows.value("SELECT count(*) FROM job_audit") == 2, "each job is cancelled once"


def test_a_turn_that_was_cancelled_leaves_no_question_open(turns: TurnSteps, rows: Rows, dsn: str) -> None:
    session_id, other = turns.add_session(), turns.add_session()
    job, held = turns.start(session_id)
    record = open_record(job)
    record.add_message(said("assistant", "?"))
    rows.value("SELECT cancel_session(%s, %s, 'the user')", [session_id, USER])

    for _ in range(2):  # repeated after a lost answer
        record.ask("q1", "Which colour?", events=[("question", {})])  # before the cancel has reached it
    turns.steps.complete(held)
    asking(turns, other)

    link = Link(dsn, "web")
    turn = session_turn(link.call, session_id, USER)
    assert session_turn(link.call, other, USER)["turn_state"] == "asked", "nobody has cancelled that one"
    link.close()
    assert (turn["turn_state"], turn["question"]) == ("abandoned", None)
    assert turns.events(session_id) == ["question"]
    assert rows.session(session_id)["status"] == "completed", "it does not wait for an answer"
    sent = call(rows, "send_prompt", session_id)
    assert (sent["state"], job_of(rows, sent)["payload"]) == ("idle", {}), "the next prompt is no answer"


def test_a_cancelled_turn_that_has_nothing_more_to_do_is_finished(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    record = turns.open(session_id)
    rows.value("SELECT cancel_session(%s, %s, 'the user')", [session_id, USER])

    record.finish()

    assert rows.value("SELECT state FROM session_turns") == "finished"


@pytest.mark.parametrize("name", ["begin_turn", "cancel_session"])
def test_who_deletes_a_session_waits_for_no_call_that_waits_for_it(
    turns: TurnSteps, rows: Rows, dsn: str, name: str
) -> None:
    session_id = turns.add_session()
    job, _ = turns.start(session_id)
    calls: dict[str, tuple[bytes, list[Any]]] = {
        "begin_turn": (b"SELECT FROM begin_turn(%s, %s, interval '30 minutes')", [job.id, job.fence]),
        "cancel_session": (b"SELECT FROM cancel_session(%s, %s, 'the user')", [session_id, USER]),
    }
    with psycopg.connect(dsn) as deleting, psycopg.connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        deleting.execute("SELECT FROM coding_sessions WHERE id = %s FOR UPDATE", [session_id])  # as a DELETE begins
        called = pool.submit(lambda: other.execute(*calls[name]))
        eventually(lambda: waits_for_lock(rows, other), what=f"{name} to wait for the deletion")
        deleting.execute("DELETE FROM coding_sessions WHERE id = %s", [session_id])
        deleting.commit()
        called.result(10)
        other.commit()

    assert rows.all("SELECT id FROM coding_jobs") == []


def test_prompts_that_a_failed_turn_left_do_not_keep_the_next_one_out(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    open_record(job)
    for _ in range(4):
        sent = call(rows, "send_prompt", session_id)
    assert sent["state"] == "full"
    turns.steps.fail(held, final=True)

    sent = call(rows, "send_prompt", session_id)

    assert (sent["state"], job_of(rows, sent)["prompt"]) == ("idle", "more"), "no turn would ever take them"
    assert rows.value("SELECT count(*) FROM session_inbox WHERE taken_at IS NULL") == 3


def test_a_session_goes_on_with_the_actor_of_a_job_that_began_no_turn(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    job_id = rows.add_job(session_id=session_id, actor="my_sessions", priority=7)
    rows.all("SELECT cancel_session(%s, %s, 'the user')", [session_id, USER])
    assert rows.status(job_id) == "cancelled"

    row = job_of(rows, call(rows, "send_prompt", session_id))

    assert (row["actor"], row["priority"]) == ("my_sessions", 7)


@pytest.mark.parametrize("end", ["fail", "cancel", "delete"])
def test_a_turn_whose_job_ended_without_it_is_told_as_given_up(
    turns: TurnSteps, rows: Rows, dsn: str, end: str
) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    open_record(job)
    link = Link(dsn, "web")

    def state() -> object:
        return session_turn(link.call, session_id, USER)["turn_state"]

    assert state() == "running"
    turns.steps.fail(held, final=False)
    assert state() == "running", "it goes on with the next attempt"
    if end == "fail":
        rows.all("UPDATE coding_jobs SET run_at = NULL")
        turns.steps.fail(turns.start(job_id=job.id)[1], final=True)
    elif end == "cancel":
        rows.all("SELECT cancel_session(%s, %s, 'the user')", [session_id, USER])
    else:
        rows.all("DELETE FROM coding_jobs")

    assert state() == "abandoned"
    link.close()
