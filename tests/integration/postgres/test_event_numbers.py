"""A session's events are numbered in the order of commit: a reader that continues from the last number misses none."""

import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.job import Completed
from bridge.postgres.attempts import AttemptKey, Attempts, Event
from bridge.postgres.link import Link
from bridge.worker.ending import Ending
from bridge.worker.reports import Reports
from bridge.worker.runs import Runs
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually

INSERT = "INSERT INTO session_events (session_id, event_type) VALUES (%s, %s)"


@pytest.fixture
def session_id(rows: Rows) -> UUID:
    session_id = rows.add_session()
    rows.add_job(session_id=session_id)
    return session_id


@pytest.fixture
def open_transaction(dsn: str) -> "Iterator[Callable[[], psycopg.Connection[Any]]]":
    opened: list[psycopg.Connection[Any]] = []

    def open_() -> "psycopg.Connection[Any]":
        opened.append(psycopg.connect(dsn))
        return opened[-1]

    yield open_
    for connection in opened:
        connection.close()


def read_after(rows: Rows, session_id: UUID, last: int = 0) -> list[tuple[int, str]]:
    """What a reader gets that asks for events after the last number it saw."""
    found = rows.all(
        "SELECT seq, event_type FROM session_events WHERE session_id = %s AND seq > %s ORDER BY seq", [session_id, last]
    )
    return [(row["seq"], row["event_type"]) for row in found]


def numbers(rows: Rows, session_id: UUID) -> list[int]:
    return [seq for seq, _ in read_after(rows, session_id)]


def events(held: AttemptKey, *types: str) -> list[Event]:
    return [Event(held, type_, "{}") for type_ in types]


def waits_for_a_lock(rows: Rows, connection: "psycopg.Connection[Any]") -> bool:
    return bool(rows.all("SELECT FROM pg_locks WHERE pid = %s AND NOT granted", [connection.info.backend_pid]))


def test_events_are_numbered_in_the_order_of_commits(
    rows: Rows, session_id: UUID, open_transaction: "Callable[[], psycopg.Connection[Any]]"
) -> None:
    first, second = open_transaction(), open_transaction()
    first.execute(INSERT, [session_id, "first"])
    second.execute(INSERT, [session_id, "second"])
    second.commit()
    seen = read_after(rows, session_id)

    first.commit()

    assert seen == [(1, "second")]
    assert read_after(rows, session_id, seen[-1][0]) == [(2, "first")]


def test_a_worker_and_an_app_share_one_numbering(
    steps: Steps, rows: Rows, session_id: UUID, open_transaction: "Callable[[], psycopg.Connection[Any]]"
) -> None:
    held = steps.started()
    app = open_transaction()
    app.execute(INSERT, [session_id, "app"])

    assert steps.book.add_events(events(held, "one", "two")) == 2
    app.commit()
    assert steps.book.add_events(events(held, "three")) == 1

    assert read_after(rows, session_id) == [(1, "one"), (2, "two"), (3, "app"), (4, "three")]


def test_an_idle_transaction_after_an_insert_blocks_no_other_writer(
    steps: Steps, rows: Rows, session_id: UUID, open_transaction: "Callable[[], psycopg.Connection[Any]]"
) -> None:
    held = steps.started()
    app = open_transaction()
    app.execute(INSERT, [session_id, "app"])
    steps.link.connection.execute("SET lock_timeout = '50ms'")

    assert steps.book.add_events(events(held, "thinking")) == 1
    rows.all(INSERT, [session_id, "phone"])
    assert steps.complete(held)

    app.commit()
    assert read_after(rows, session_id) == [(1, "thinking"), (2, "phone"), (3, "app")]


def test_jobs_of_a_session_complete_beside_an_idle_transaction(
    fleet: Fleet, rows: Rows, open_transaction: "Callable[[], psycopg.Connection[Any]]"
) -> None:
    sessions = [rows.add_session(), rows.add_session()]
    app = open_transaction()
    app.execute(INSERT, [sessions[0], "app"])

    jobs = [rows.add_job(actor="narrate", queue="tests", payload={"n": 5}, session_id=one) for one in sessions]

    eventually(lambda: {rows.status(job_id) for job_id in jobs} == {"completed"})
    app.commit()
    thoughts = [(n, "thinking") for n in range(1, 6)]
    assert read_after(rows, sessions[0]) == [*thoughts, (6, "app")]
    assert read_after(rows, sessions[1]) == thoughts


def test_a_locked_stream_delays_only_its_own_job(
    steps: Steps, rows: Rows, session_id: UUID, dsn: str, open_transaction: "Callable[[], psycopg.Connection[Any]]"
) -> None:
    free_session = rows.add_session()
    rows.add_job(session_id=free_session)
    worker = steps.add_worker()
    held, free = (one for claim in steps.claim() if (one := steps.start(worker, claim)))
    steps.book.add_events(events(held, "one"))
    somebody = open_transaction()
    somebody.execute("SELECT FROM session_streams WHERE session_id = %s FOR UPDATE", [session_id])
    reports = Reports(Attempts(Link(dsn, "reports")), Runs(), lambda _: None)
    for event in (*events(held, "two"), *events(free, "first")):
        reports.submit(event)
    reports.submit(Ending(held, Completed(None)))
    reports.open()
    eventually(lambda: numbers(rows, free_session) == [1])

    reports.submit(*events(free, "second"))
    reports.submit(Ending(free, Completed(None)))

    eventually(lambda: rows.status(free.job_id) == "completed", seconds=1.5, what="the end of a job beside it")
    assert read_after(rows, free_session) == [(1, "first"), (2, "second")]
    assert rows.status(held.job_id) == "processing"
    somebody.commit()
    eventually(lambda: rows.status(held.job_id) == "completed")
    assert read_after(rows, session_id) == [(1, "one"), (2, "two")]
    assert reports.close(5) == 0


def test_eight_writers_leave_no_gap_when_some_roll_back(rows: Rows, dsn: str) -> None:
    sessions = [rows.add_session() for _ in range(3)]
    kept: list[tuple[UUID, str]] = []

    def write(writer: int) -> None:
        chance = random.Random(writer)
        with psycopg.connect(dsn) as connection:
            for turn in range(40):
                mine = [(chance.choice(sessions), f"{writer}.{turn}.{n}") for n in range(chance.randint(1, 4))]
                with connection.transaction(force_rollback=chance.random() < 0.3) as whole:
                    for row in mine:
                        with connection.transaction():
                            connection.execute(INSERT, row)
                        with connection.transaction(force_rollback=True):
                            connection.execute(INSERT, row)
                if not whole.force_rollback:
                    kept.extend(mine)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join(60)

    for session_id in sessions:
        read = read_after(rows, session_id)
        assert [seq for seq, _ in read] == list(range(1, len(read) + 1))
        assert sorted(type_ for _, type_ in read) == sorted(type_ for one, type_ in kept if one == session_id)


def test_many_sessions_in_one_call_have_numbers_of_their_own(steps: Steps, rows: Rows) -> None:
    sessions = [rows.add_session() for _ in range(3)]
    jobs = {rows.add_job(session_id=session_id): session_id for session_id in sessions}
    worker = steps.add_worker()
    held = [one for claim in steps.claim() if (one := steps.start(worker, claim))]

    given = [Event(held[n % 3], str(n), "{}") for n in range(30)]
    assert steps.book.add_events(given[:15]) == 15
    assert steps.book.add_events(given[15:]) == 15

    for place, one in enumerate(held):
        assert read_after(rows, jobs[one.job_id]) == [(n + 1, str(n * 3 + place)) for n in range(10)]


def test_a_repeated_event_uses_no_number(steps: Steps, rows: Rows, session_id: UUID) -> None:
    held = steps.started()
    one, two, three = events(held, "one", "two", "three")

    assert steps.book.add_events([one, one]) == 1
    assert steps.book.add_events([one, two]) == 1
    rows.all("INSERT INTO session_events (id, session_id, event_type) VALUES (%s, %s, 'x') ON CONFLICT DO NOTHING",
             [two.id, session_id])  # fmt: skip
    assert steps.book.add_events([three]) == 1

    assert read_after(rows, session_id) == [(1, "one"), (2, "two"), (3, "three")]


def test_an_event_repeated_after_a_lost_answer_is_stored_once(
    steps: Steps, rows: Rows, session_id: UUID, dsn: str
) -> None:
    held = steps.started()
    batch = events(held, "one", "two")
    answer: list[int] = []
    other = Steps(dsn, rows)
    other.link.connection.execute("BEGIN")
    other.book.add_events(batch)  # and the answer is lost

    again = threading.Thread(target=lambda: answer.append(steps.book.add_events(batch)))
    again.start()
    eventually(lambda: waits_for_a_lock(rows, steps.link.connection))
    other.link.connection.execute("COMMIT")
    again.join(10)

    assert answer == [0]
    assert numbers(rows, session_id) == [1, 2]
    other.close()


def test_an_old_attempt_adds_no_event_after_those_of_the_next_one(
    steps: Steps, rows: Rows, session_id: UUID, dsn: str, open_transaction: "Callable[[], psycopg.Connection[Any]]"
) -> None:
    worker = steps.add_worker()
    old = steps.started(worker)
    other = Steps(dsn, rows)
    answer: list[int] = []
    somebody = open_transaction()
    steps.book.add_events(events(old, "old"))
    somebody.execute("SELECT FROM session_streams WHERE session_id = %s FOR UPDATE", [session_id])
    late = threading.Thread(target=lambda: answer.append(other.book.add_events(events(old, "late"))))
    pid = other.link.connection
    late.start()
    eventually(lambda: waits_for_a_lock(rows, pid))

    steps.release(old)
    new = steps.started(worker)
    somebody.commit()
    late.join(10)
    steps.book.add_events(events(new, "new"))

    assert answer == [0]
    assert read_after(rows, session_id) == [(1, "old"), (2, "new")]
    other.close()


def test_copy_and_one_insert_of_many_rows_are_numbered_in_their_order(rows: Rows, session_id: UUID) -> None:
    other = rows.add_session()
    with rows.connection.cursor().copy("COPY session_events (session_id, event_type) FROM STDIN") as copy:
        for n in range(1000):
            copy.write_row((session_id if n % 2 else other, str(n)))
    rows.all(
        "INSERT INTO session_events (session_id, event_type) SELECT %s, n::text FROM generate_series(1000, 1999) n",
        [session_id],
    )

    assert read_after(rows, other) == [(n // 2 + 1, str(n)) for n in range(0, 1000, 2)]
    types = [*range(1, 1000, 2), *range(1000, 2000)]
    assert read_after(rows, session_id) == [(place, str(n)) for place, n in enumerate(types, 1)]


def test_two_writers_of_the_same_sessions_do_not_deadlock(rows: Rows, dsn: str) -> None:
    sessions = [rows.add_session() for _ in range(20)]
    failed: list[Exception] = []

    def write(order: list[UUID]) -> None:
        try:
            with psycopg.connect(dsn) as connection:
                for _ in range(30):
                    for session_id in order:
                        connection.execute(INSERT, [session_id, "x"])
                    connection.commit()
        except psycopg.Error as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(order,)) for order in (sessions, sessions[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failed == []
    assert all(numbers(rows, session_id) == list(range(1, 61)) for session_id in sessions)


def test_a_transaction_that_locked_a_session_may_write_its_events(
    steps: Steps, rows: Rows, session_id: UUID, open_transaction: "Callable[[], psycopg.Connection[Any]]"
) -> None:
    """An app locks the session's row, then inserts the event. With a foreign key the worker waits for that row."""
    rows.all("ALTER TABLE session_events ADD FOREIGN KEY (session_id) REFERENCES coding_sessions (id)")
    held = steps.started()
    app = open_transaction()
    app.execute("SELECT FROM coding_sessions WHERE id = %s FOR UPDATE", [session_id])
    app.execute(INSERT, [session_id, "app"])
    answer: list[int] = []
    worker = threading.Thread(target=lambda: answer.append(steps.book.add_events(events(held, "worker"))))
    worker.start()
    eventually(lambda: waits_for_a_lock(rows, steps.link.connection))

    app.commit()
    worker.join(10)

    assert answer == [1]
    assert read_after(rows, session_id) == [(1, "app"), (2, "worker")]


def test_numbers_continue_after_those_of_the_previous_version(steps: Steps, rows: Rows, session_id: UUID) -> None:
    rows.all("ALTER TABLE session_events DISABLE TRIGGER USER")
    for seq in (None, None, 700, 901):
        rows.all("INSERT INTO session_events (session_id, event_type, seq) VALUES (%s, 'old', %s)", [session_id, seq])
    rows.all("ALTER TABLE session_events ENABLE TRIGGER USER")
    held = steps.started()

    steps.book.add_events(events(held, "worker"))
    rows.all(INSERT, [session_id, "app"])

    assert read_after(rows, session_id, 901) == [(902, "worker"), (903, "app")]
    kept = rows.all("SELECT seq FROM session_events WHERE session_id = %s AND event_type = 'old'", [session_id])
    assert [row["seq"] for row in kept] == [None, None, 700, 901]


def test_a_restored_backup_keeps_its_numbers(rows: Rows, session_id: UUID) -> None:
    rows.all(INSERT, [session_id, "x"])
    for seq in (5, 6):
        rows.all("INSERT INTO session_events (session_id, event_type, seq) VALUES (%s, 'x', %s)", [session_id, seq])

    rows.all(INSERT, [session_id, "new"])

    assert numbers(rows, session_id) == [1, 5, 6, 7]


def test_an_event_without_a_session_has_no_number(rows: Rows, session_id: UUID) -> None:
    """A host's table may allow such events, and may set the session to NULL when the session is deleted."""
    rows.all("ALTER TABLE session_events ALTER COLUMN session_id DROP NOT NULL")
    rows.all(INSERT, [None, "of nobody"])
    rows.all("INSERT INTO session_events (event_type, seq) VALUES ('of nobody', -9)")
    rows.all(INSERT, [session_id, "one"])

    with rows.connection.transaction():
        rows.all(INSERT, [session_id, "orphan"])
        rows.all(INSERT, [session_id, "two"])
        rows.all("UPDATE session_events SET session_id = NULL WHERE event_type = 'orphan'")

    assert read_after(rows, session_id) == [(1, "one"), (2, "two")]
    others = rows.all("SELECT event_type, seq FROM session_events WHERE session_id IS NULL ORDER BY 1")
    assert [tuple(row.values()) for row in others] == [("of nobody", None), ("of nobody", None), ("orphan", None)]
    assert rows.all("SELECT * FROM session_streams") == [{"session_id": session_id, "last_seq": 2}]


def test_an_event_whose_session_a_hosts_trigger_sets_gets_a_number(rows: Rows, session_id: UUID) -> None:
    rows.all(f"""
        CREATE FUNCTION name_session() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.session_id := '{session_id}'; RETURN NEW; END $$;
        CREATE TRIGGER with_session BEFORE INSERT ON session_events FOR EACH ROW EXECUTE FUNCTION name_session()""")

    rows.all(INSERT, [None, "one"])

    assert read_after(rows, session_id) == [(1, "one")]


def test_events_moved_to_another_session_come_after_its_own(rows: Rows, session_id: UUID) -> None:
    other = rows.add_session()
    for one, type_ in ((session_id, "a"), (session_id, "b"), (other, "c")):
        rows.all(INSERT, [one, type_])

    with rows.connection.transaction():
        rows.all(INSERT, [session_id, "new"])
        rows.all("UPDATE session_events SET session_id = %s WHERE session_id = %s", [other, session_id])
        rows.all("UPDATE session_events SET session_id = session_id WHERE event_type = 'c'")

    assert read_after(rows, session_id) == []
    assert read_after(rows, other) == [(1, "c"), (2, "a"), (3, "b"), (4, "new")]
    rows.all(INSERT, [session_id, "later"])
    assert read_after(rows, session_id) == [(3, "later")]


def test_a_deleted_sessions_stream_is_deleted_and_the_session_may_be_inserted_again(
    rows: Rows, session_id: UUID
) -> None:
    other = rows.add_session()
    for one in (session_id, session_id, other):
        rows.all(INSERT, [one, "x"])

    rows.all("DELETE FROM coding_sessions WHERE id = %s", [session_id])

    assert rows.all("SELECT * FROM session_streams") == [{"session_id": other, "last_seq": 1}]
    rows.add_session(id=session_id)
    rows.all(INSERT, [session_id, "again"])
    assert read_after(rows, session_id) == [(1, "again")]


def test_numbers_of_deleted_events_are_not_used_again(rows: Rows, session_id: UUID) -> None:
    rows.all(INSERT, [session_id, "pruned"])
    rows.all("DELETE FROM session_events")

    rows.all(INSERT, [session_id, "new"])

    assert read_after(rows, session_id) == [(2, "new")]


def test_a_stale_event_uses_no_number(steps: Steps, rows: Rows, session_id: UUID) -> None:
    held = steps.started()

    steps.book.add_events([*events(replace(held, exec=uuid4()), "stale"), *events(held, "true")])

    assert read_after(rows, session_id) == [(1, "true")]


def seconds_of_the_commit(rows: Rows, sessions: int) -> float:
    """The CPU seconds of the commit as counted by the server, so that other load on the machine does not matter."""
    details: list[str] = []

    def listen(message: "psycopg.errors.Diagnostic") -> None:
        details.append(str(message.message_detail))

    rows.all(
        "INSERT INTO coding_sessions (id, user_id, project_id)"
        " SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid() FROM generate_series(1, %s)", [sessions],
    )  # fmt: skip
    rows.all("BEGIN")
    rows.all("INSERT INTO session_events (session_id, event_type) SELECT id, 'x' FROM coding_sessions")
    rows.all("SET client_min_messages = log")
    rows.all("SET log_statement_stats = on")
    rows.connection.add_notice_handler(listen)
    rows.all("COMMIT")
    rows.all("SET log_statement_stats = off")
    rows.connection.remove_notice_handler(listen)
    used = [re.findall(r"([\d.]+) s (?:user|system),", detail)[:2] for detail in details]
    return max(sum(map(float, parts)) for parts in used)


def test_the_work_at_a_commit_grows_with_the_number_of_events_only(rows: Rows) -> None:
    """It must not grow with events times sessions, because others wait for the locked streams meanwhile."""
    few = seconds_of_the_commit(rows, 1000)
    rows.all("DELETE FROM coding_sessions")

    many = seconds_of_the_commit(rows, 8000)

    assert rows.value("SELECT count(*) FROM session_events WHERE seq = 1") == 8000
    assert many < 20 * few


def test_an_event_whose_number_a_hosts_trigger_keeps_from_being_written_is_refused(
    rows: Rows, session_id: UUID
) -> None:
    rows.all("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
    rows.all("CREATE TRIGGER keep BEFORE UPDATE ON session_events FOR EACH ROW EXECUTE FUNCTION keep()")

    with pytest.raises(psycopg.errors.RaiseException, match="keeps the number of an event from being written"):
        rows.all(INSERT, [session_id, "thinking"])


def test_events_do_not_wait_for_another_session(
    steps: Steps, rows: Rows, session_id: UUID, open_transaction: "Callable[[], psycopg.Connection[Any]]"
) -> None:
    held = steps.started()
    other = rows.add_session()
    rows.add_job(session_id=other)
    open_transaction().execute("SELECT FROM coding_sessions WHERE id = %s FOR UPDATE", [other])
    steps.link.connection.execute("SET lock_timeout = '50ms'")

    assert steps.book.add_events(events(held, "thinking")) == 1


def test_each_session_gets_its_own_events_and_its_own_unused_numbers_back(steps: Steps, rows: Rows) -> None:
    sessions = [rows.add_session() for _ in range(3)]
    held = []
    for session in sessions[:2]:
        rows.add_job(session_id=session)
        held.append(steps.started())
    one, other = held
    for number in range(5):
        rows.all(INSERT, [sessions[2], f"{number}"])
    late = replace(one, exec=uuid4())

    stored = steps.book.add_events([*events(late, "late"), *events(one, "one"), *events(other, "two", "three")])

    assert stored == 3
    assert [read_after(rows, session) for session in sessions[:2]] == [[(1, "one")], [(1, "two"), (2, "three")]]
    last = {row["session_id"]: row["last_seq"] for row in rows.all("SELECT session_id, last_seq FROM session_streams")}
    assert last == dict(zip(sessions, (1, 2, 5), strict=True))


def test_a_role_from_which_rows_are_hidden_numbers_no_events(rows: Rows, session_id: UUID) -> None:
    role = f"numbering_{uuid4().hex[:8]}"
    rows.all(f"CREATE ROLE {role}")
    try:
        rows.all(f"GRANT ALL ON session_events, session_streams TO {role}")
        rows.all(f"ALTER FUNCTION number_events() OWNER TO {role}")
        rows.all("ALTER TABLE session_events ENABLE ROW LEVEL SECURITY")

        with pytest.raises(psycopg.errors.RaiseException, match=f"Role {role} cannot number events"):
            rows.all(INSERT, [session_id, "thinking"])
    finally:
        rows.all(f"REASSIGN OWNED BY {role} TO CURRENT_USER")
        rows.all(f"DROP OWNED BY {role}")
        rows.all(f"DROP ROLE {role}")
