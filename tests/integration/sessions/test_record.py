"""The record of a turn: stored with its events, fenced, and safe to repeat."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from actors.coding.agent.runner import Record as RunnersRecord
from bridge import Fail, Job, NotOursError, Release
from bridge.errors import BridgeError, PayloadError
from bridge.postgres.json_text import storable_text
from bridge.sessions import Call, Message, OverBudget, Usage, open_record
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.turns import USER, TurnSteps, said


def test_a_conversation_is_read_as_it_was_written(turns: TurnSteps) -> None:
    session_id = turns.add_session()
    job, _ = turns.start(session_id)
    record = open_record(job)
    strange = {"type": "thinking", "signature": "a\x00b\ud800", "b": 1.0, "a": 1e300, "n": None}
    prompt, answer = said("user", "hello"), Message("assistant", [strange, {"type": "text", "text": "ü \U0001f600"}])

    assert (record.number, record.has_begun, record.has_ended, record.messages()) == (1, False, False, [])
    record.add_message(prompt, [("turn_started", {"turn": 1})])
    record.add_message(answer)

    assert record.messages() == [prompt, answer]
    assert list(record.messages()[1].content[0]) == list(strange), "in the order in which the model wrote it"
    assert turns.events(session_id) == ["turn_started"]
    assert record.has_begun


def test_a_compacted_conversation_replaces_the_earlier_one(turns: TurnSteps, rows: Rows) -> None:
    record = turns.open()
    for text in ("one", "two"):
        record.add_message(said("user", text))

    record.replace_messages([said("user", "a summary"), said("assistant", "yes")])
    record.add_message(said("user", "three"))

    assert record.messages() == [said("user", "a summary"), said("assistant", "yes"), said("user", "three")]
    assert rows.value("SELECT count(*) FROM session_messages") == 5, "all are kept"


def test_calls_are_those_of_the_assistants_last_message(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    record = open_record(turns.start(session_id)[0])
    record.add_message(said("assistant", "one moment"))

    record.start_call("a", "bash", {"command": "ls\x00"}, [("tool_started", {"id": "a"})])
    record.start_call("b", "edit", {})
    record.finish_call("a", {"output": "x\x00"}, [("tool_finished", {"id": "a"})])

    assert record.calls() == {
        "a": Call("a", "bash", {"command": "ls\x00"}, is_finished=True, result={"output": "x\x00"}),
        "b": Call("b", "edit", {}, is_finished=False),
    }
    assert turns.events(session_id) == ["tool_started", "tool_finished"]
    record.add_message(said("user", "a prompt, after a turn that was cancelled inside of the calls"))
    assert set(record.calls()) == {"a", "b"}
    record.add_message(said("assistant", "done"))
    assert record.calls() == {}


def test_the_next_attempt_goes_on_where_the_last_one_was(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    first = open_record(job)
    first.add_message(said("user", "hello"))
    first.add_message(said("assistant", "call"))
    first.start_call("done", "bash", {}, [("tool_started", {})])
    first.finish_call("done", {"code": 0})
    first.start_call("open", "bash", {}, [("tool_started", {})])

    second = open_record(turns.again(held)[0])

    assert (second.number, second.has_begun) == (1, True)
    assert second.messages() == [said("user", "hello"), said("assistant", "call")]
    assert {call.call_id: call.is_finished for call in second.calls().values()} == {"done": True, "open": False}
    second.start_call("open", "bash", {}, [("tool_started", {})])
    second.finish_call("done", {"code": 1}, [("tool_finished", {})])
    assert second.calls()["done"].result == {"code": 0}, "a result is stored once"
    assert turns.events(session_id) == ["tool_started", "tool_started"], "what is stored already says nothing new"
    assert rows.all("SELECT call_id, started_fence, finished_fence FROM session_calls ORDER BY call_id") == [
        {"call_id": "done", "started_fence": 1, "finished_fence": 1},
        {"call_id": "open", "started_fence": 1, "finished_fence": None},
    ]


EVENT = [("text", {"x": 1})]
WRITES = {
    "add_message": lambda record: record.add_message(said("assistant", "late"), EVENT),
    "replace_messages": lambda record: record.replace_messages([said("user", "late")], EVENT),
    "start_call": lambda record: record.start_call("late", "bash", {}, EVENT),
    "finish_call": lambda record: record.finish_call("call", {"late": True}, EVENT),
    "reserve": lambda record: record.reserve(0.1),
    "set_progress": lambda record: record.set_progress(0.7, EVENT),
    "finish": lambda record: record.finish(EVENT),
    "ask": lambda record: record.ask("late", "why?", events=EVENT),
    "ask_to_go_on": lambda record: record.ask_to_go_on(OverBudget("turn", 1.0, 1.0), EVENT),
}
REPLACED = {
    "a later attempt": lambda turns, held: turns.again(held),
    "reclaimed": lambda turns, held: turns.rows.all(
        "UPDATE coding_jobs SET status = 'pending' WHERE id = %s", [held.job_id]
    ),
    "completed": lambda turns, held: turns.steps.complete(held),
    "deleted": lambda turns, held: turns.rows.all("DELETE FROM coding_jobs WHERE id = %s", [held.job_id]),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("replaced", REPLACED)
def test_an_attempt_that_was_replaced_stores_nothing(turns: TurnSteps, rows: Rows, write: str, replaced: str) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    record = open_record(job)
    record.add_message(said("user", "hello"))
    record.start_call("call", "bash", {})
    turns.open()  # an attempt of another job, with the same fence
    tables = (
        "session_turns",
        "session_messages",
        "session_calls",
        "session_events",
        "session_streams",
        "session_requests",
    )
    REPLACED[replaced](turns, held)
    before = {name: rows.all(f"SELECT * FROM {name}") for name in tables}

    with pytest.raises(NotOursError, match="not the job's current one"):
        WRITES[write](record)

    assert {name: rows.all(f"SELECT * FROM {name}") for name in tables} == before


@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_stored_after_the_end_of_a_turn(turns: TurnSteps, rows: Rows, write: str) -> None:
    session_id = turns.add_session()
    record = open_record(turns.start(session_id)[0])
    record.add_message(said("user", "hello"))
    record.start_call("call", "bash", {})
    record.finish()

    if write == "finish":
        record.finish(EVENT)  # repeated after a lost answer
    else:
        with pytest.raises(NotOursError):
            WRITES[write](record)

    assert turns.events(session_id) == []
    assert rows.value("SELECT count(*) FROM session_messages") == 1
    assert rows.value("SELECT state FROM session_turns") == "finished"


def test_a_write_waits_for_the_transaction_that_replaces_its_attempt(turns: TurnSteps, rows: Rows, dsn: str) -> None:
    job, held = turns.start(turns.add_session())
    record = open_record(job)

    with psycopg.connect(dsn) as reclaiming, ThreadPoolExecutor() as pool:
        reclaiming.execute("UPDATE coding_jobs SET status = 'pending' WHERE id = %s", [held.job_id])
        write = pool.submit(record.add_message, said("assistant", "late"))
        time.sleep(0.2)
        assert not write.done()
        reclaiming.commit()
        with pytest.raises(NotOursError):
            write.result(10)

    assert rows.all("SELECT * FROM session_messages") == []


def test_a_second_job_of_a_session_waits_for_the_turn_of_the_first(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    first_job, held = turns.start(session_id)
    open_record(first_job)
    second_job, _ = turns.start(session_id)

    with pytest.raises(Release, match="another job of the session") as raised:
        open_record(second_job)
    assert raised.value.delay == timedelta(seconds=2)
    rows.all("UPDATE coding_jobs SET status = 'pending' WHERE id = %s", [held.job_id])
    with pytest.raises(Release):
        open_record(second_job)  # the first waits for its next attempt
    first = open_record(turns.start(job_id=held.job_id)[0])

    first.finish()
    assert open_record(second_job).number == 2
    assert rows.all("SELECT turn, state FROM session_turns ORDER BY turn") == [
        {"turn": 1, "state": "finished"},
        {"turn": 2, "state": "running"},
    ]


def test_a_turn_whose_job_ended_without_it_is_given_up(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    open_record(job).add_message(said("user", "hello"))
    turns.steps.fail(held, final=True)

    record = open_record(turns.start(session_id)[0])

    assert (record.number, record.has_begun, record.messages()) == (2, False, [said("user", "hello")])
    assert rows.value("SELECT state FROM session_turns WHERE turn = 1") == "abandoned"


def test_a_failed_job_that_is_run_again_goes_on_or_begins_a_new_turn(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    open_record(job).add_message(said("user", "hello"))
    turns.steps.fail(held, final=True)
    assert open_record(turns.again(held)[0]).number == 1

    turns.steps.rows.all("UPDATE coding_jobs SET status = 'failed' WHERE id = %s", [held.job_id])
    other = open_record(turns.start(session_id)[0])
    other.finish()
    again = open_record(turns.again(held)[0])

    assert (other.number, again.number, again.has_begun) == (2, 3, False)


def test_a_turn_that_has_ended_is_not_run_again(turns: TurnSteps) -> None:
    job, held = turns.start(turns.add_session())
    open_record(job).finish()

    assert open_record(turns.again(held)[0]).has_ended


@pytest.mark.parametrize("left", ["another job", "a cancel"])
def test_a_turn_that_asked_is_not_run_again_after_its_question_was_given_up(
    turns: TurnSteps, rows: Rows, left: str
) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    open_record(job).ask("q1", "Which colour?")
    if left == "another job":
        turns.open(session_id).finish()
    else:
        rows.value("SELECT cancel_session(%s, %s, 'the user')", [session_id, USER])
    assert rows.value("SELECT state FROM session_turns WHERE turn = 1") == "abandoned"
    before = rows.all("SELECT * FROM session_turns ORDER BY turn")

    assert open_record(turns.again(held)[0]).has_ended

    assert rows.all("SELECT * FROM session_turns ORDER BY turn") == before


def test_sessions_that_begin_at_once_run_one_turn(turns: TurnSteps, rows: Rows) -> None:
    for _ in range(5):
        session_id = turns.add_session()
        jobs = [turns.start(session_id)[0] for _ in range(4)]
        links = [Steps(turns.steps.link.dsn, rows) for _ in jobs]
        barrier = threading.Barrier(len(jobs))

        def begin(pair: tuple[Job, Steps], barrier: threading.Barrier = barrier) -> str:
            job, own = pair
            barrier.wait()
            (row,) = own.link.call(
                "begin_turn", {"job_id": job.id, "fence": job.fence, "lifetime": timedelta(minutes=1)}
            )
            own.close()
            return str(row["state"])

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(begin, zip(jobs, links, strict=True))) == ["busy", "busy", "busy", "running"]


@pytest.mark.parametrize("status", ["expired", None])
def test_an_expired_or_deleted_session_has_no_turns(turns: TurnSteps, rows: Rows, status: str | None) -> None:
    session_id = turns.add_session(status=status) if status else uuid4()
    job, _ = turns.start(session_id)

    with pytest.raises(Fail, match="expired or was deleted"):
        open_record(job)

    assert rows.all("SELECT * FROM session_turns") == []


def test_a_job_without_a_session_has_no_turn(turns: TurnSteps) -> None:
    with pytest.raises(Fail, match="needs a session"):
        open_record(Job(uuid4()))


@pytest.mark.parametrize("replaced", REPLACED)
def test_an_attempt_that_was_replaced_begins_nothing(turns: TurnSteps, rows: Rows, replaced: str) -> None:
    job, held = turns.start(turns.add_session())
    REPLACED[replaced](turns, held)

    with pytest.raises(NotOursError):
        open_record(job)

    assert rows.all("SELECT * FROM session_turns") == []


def test_a_question_pauses_the_session_and_frees_the_slot(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    record = open_record(job)
    record.add_message(said("assistant", "I have a question"))

    record.ask("q1", "Which colour?", ["red", "blue"], [("question", {"text": "Which colour?"})])
    turns.steps.complete(held)

    session = rows.session(session_id)
    assert (session["status"], session["completed_at"]) == ("paused", None)
    assert rows.value("SELECT question FROM session_turns") == {
        "callId": "q1", "question": "Which colour?", "choices": ["red", "blue"],
    }  # fmt: skip
    assert turns.events(session_id) == ["question"]
    record_after = open_record(turns.start(session_id)[0])
    assert record_after.calls()["q1"].is_finished is False
    assert rows.session(session_id)["status"] == "active"
    assert rows.value("SELECT state FROM session_turns WHERE turn = 1") == "abandoned", "another job came first"


def test_a_job_does_not_wait_for_the_report_of_one_that_has_asked(turns: TurnSteps) -> None:
    session_id = turns.add_session()
    turns.open(session_id).ask("q1", "Which colour?")

    assert turns.open(session_id).number == 2


def test_a_paused_session_completes_with_the_turn_after_its_answer(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    open_record(job).ask("q1", "Which colour?")
    rows.all("SELECT * FROM answer_question(%s, %s, NULL, 'red')", [session_id, USER])
    turns.steps.complete(held)
    assert rows.session(session_id)["status"] == "active", "the answer's job is open"

    answered_job = rows.value("SELECT id FROM coding_jobs WHERE status = 'pending'")
    job, held = turns.start(job_id=answered_job)
    record = open_record(job)
    record.finish_call("q1", {"text": "red"})
    record.finish()
    turns.steps.complete(held)

    assert job.prompt == "red"
    assert job.payload == {"answer": {"callId": "q1", "text": "red"}}
    assert rows.session(session_id)["status"] == "completed"


def test_a_turn_prolongs_its_session(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    soon = "UPDATE coding_sessions SET expires_at = now() + interval '1 minute' WHERE id = %s"
    left = "SELECT extract(epoch FROM expires_at - now()) FROM coding_sessions WHERE id = %s"
    job, _ = turns.start(session_id)

    rows.all(soon, [session_id])
    record = open_record(job)
    assert rows.value(left, [session_id]) > 29 * 60
    rows.all(soon, [session_id])
    record.finish()
    assert rows.value(left, [session_id]) > 29 * 60
    rows.all("UPDATE coding_sessions SET expires_at = now() + interval '1 day' WHERE id = %s", [session_id])
    open_record(turns.start(session_id)[0])
    assert rows.value(left, [session_id]) > 23 * 3600, "one that was given more keeps it"


def test_a_host_that_refuses_the_later_end_does_not_stop_the_turn(turns: TurnSteps, rows: Rows) -> None:
    rows.all("ALTER TABLE coding_sessions ADD CONSTRAINT short CHECK (expires_at < '2021-01-01') NOT VALID")
    session_id = turns.add_session(expires_at="2020-01-01")

    record = turns.open(session_id)

    assert record.number == 1
    assert rows.session(session_id)["expires_at"].year == 2020


def test_prompts_are_taken_once_and_not_lost_with_an_attempt(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    record = open_record(job)
    record.add_message(said("user", "hello"))
    for text in ("use red", "and blue"):
        sent = rows.one("SELECT * FROM send_prompt(%s, %s, %s, 20)", [session_id, USER, text])
        assert sent == {"state": "working", "job_id": None}

    assert record.take_prompts() == ["use red", "and blue"]
    assert record.take_prompts() == []
    record.add_message(said("assistant", "between"))
    again, held = turns.again(held)
    second = open_record(again)
    assert second.take_prompts() == ["use red", "and blue"], "they were in no message yet"
    second.add_message(said("user", "use red, and blue"))
    third = open_record(turns.again(held)[0])
    assert third.take_prompts() == []
    third.finish()

    assert rows.value("SELECT count(*) FROM coding_jobs") == 1


def test_a_prompt_that_a_turn_has_not_taken_becomes_the_next_job(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    record = open_record(turns.start(session_id)[0])
    for text in ("too late", "much too late"):
        rows.all("SELECT * FROM send_prompt(%s, %s, %s, 20)", [session_id, USER, text])

    record.finish()
    record.finish()

    next_job = rows.one("SELECT * FROM coding_jobs WHERE status = 'pending'")
    assert (next_job["prompt"], next_job["session_id"], next_job["actor"]) == (
        "too late",
        session_id,
        "run_coding_session",
    )
    assert open_record(turns.start(job_id=next_job["id"])[0]).take_prompts() == ["much too late"]


def test_progress_is_stored_when_it_changes(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    record = turns.open(session_id)

    for fraction in (0.5, 0.5, 0.75):
        record.set_progress(fraction, [("progress", {"fraction": fraction})])

    assert rows.value("SELECT progress FROM session_turns") == 0.75
    assert turns.events(session_id) == ["progress", "progress"]


def test_what_is_no_json_is_refused_in_the_actor(turns: TurnSteps) -> None:
    record = turns.open()

    with pytest.raises(PayloadError, match="message cannot be stored as JSON"):
        record.add_message(Message("user", [{"x": object()}]))
    with pytest.raises(BridgeError, match="has no call nobody"):
        record.finish_call("nobody", {})
    record.add_message(said("user", "still usable"))


def test_events_with_characters_that_postgres_lacks_are_stored(turns: TurnSteps, rows: Rows) -> None:
    record = turns.open()

    record.add_message(said("user", "x"), [("te\x00xt", {"x": "a\x00b"})])

    assert rows.one("SELECT event_type, data FROM session_events") == {
        "event_type": storable_text("te\x00xt"),
        "data": {"x": storable_text("a\x00b")},
    }


def test_a_deleted_session_leaves_nothing_but_its_costs(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    record = turns.open(session_id)
    record.add_message(said("user", "secret"))
    record.start_call("a", "bash", {})
    rows.all("SELECT * FROM send_prompt(%s, %s, 'secret', 20)", [session_id, USER])
    assert record.reserve(0.5) is None
    record.spend(Usage("m", 1, 2, cost_usd=0.25))

    rows.all("DELETE FROM coding_sessions WHERE id = %s", [session_id])

    for table in ("session_turns", "session_messages", "session_calls", "session_inbox", "session_events"):
        assert rows.all(f"SELECT * FROM {table}") == [], table
    assert rows.value("SELECT sum(cost_usd) FROM session_requests") == 0.25


def test_writes_survive_a_lost_link(turns: TurnSteps, rows: Rows) -> None:
    record = turns.open()

    for n in range(20):
        if n % 4 == 0:
            rows.all(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'mobvibe turns' AND datname = current_database()"
            )
        record.add_message(said("user", str(n)), [("text", {"n": n})])

    assert record.messages() == [said("user", str(n)) for n in range(20)]
    assert rows.value("SELECT count(*) FROM session_events") == 20


def test_the_record_is_what_runners_are_written_for(turns: TurnSteps) -> None:
    record: RunnersRecord = turns.open()  # mypy checks it

    assert record.messages() == []
