"""A paused queue: nothing is claimed from it, and nothing of it is lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Event
from typing import Any
from uuid import UUID

import psycopg
import pytest

from bridge.errors import PostgresRefusedError, RightsError
from bridge.job import Claim
from bridge.postgres.link import Link
from bridge.postgres.migrations import migrate_up
from bridge.postgres.queue_pauses import QueueNameError, find_pauses, pause_queue, resume_queue
from bridge.postgres.queue_rows import Span
from bridge.postgres.startup_checks import check_database
from tests.conftest import Servers
from tests.support import legacy
from tests.support.invariants import check_invariants
from tests.support.limited_role import LimitedRole
from tests.support.notifications import NotificationRecorder
from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps
from tests.support.waiting import eventually

REPORTS = {"build_report": {"queue": "reports", "max_retries": 3}}


@pytest.fixture
def heard(dsn: str) -> Iterator[NotificationRecorder]:
    recorder = NotificationRecorder(dsn, "new_job")
    yield recorder
    recorder.connection.close()


def pause(steps: Steps, queue: str = "coding", by: str = "ann", reason: str | None = None) -> bool:
    """Whether this call paused it."""
    return pause_queue(steps.link.call, queue, by=by, reason=reason)[1]


def resume(steps: Steps, queue: str = "coding", by: str = "ann", reason: str | None = None) -> bool:
    return resume_queue(steps.link.call, queue, by=by, reason=reason) is not None


def audit(rows: Rows) -> list[tuple[object, ...]]:
    found = rows.all("SELECT action, target, done_by, reason FROM operator_audit ORDER BY id")
    return [tuple(row.values()) for row in found]


def claim_apart(steps: Steps) -> list[Claim]:
    spans = [Span(one.queue, one.free) for one in steps.queue.queue_room()]
    claims, refused = steps.queue.claim_jobs_apart("bridge", limit=100, lease=LEASE, spans=spans, skip=[])
    assert refused == []
    return claims


# What a pause and its end record.


def test_a_pause_says_who_made_it_when_and_why_until_it_is_ended(steps: Steps, rows: Rows) -> None:
    made, is_new = pause_queue(steps.link.call, "reports", by="ann", reason="the disk is full")

    assert is_new
    assert (made.queue, made.paused_by, made.reason) == ("reports", "ann", "the disk is full")
    assert abs(datetime.now(UTC) - made.paused_at) < timedelta(minutes=1)
    assert find_pauses(steps.link.call) == {"reports": made}

    assert resume_queue(steps.link.call, "reports", by="bob", reason="a new disk") == made
    assert find_pauses(steps.link.call) == {}
    assert audit(rows) == [
        ("pause_queue", "reports", "ann", "the disk is full"),
        ("resume_queue", "reports", "bob", "a new disk"),
    ]


def test_a_second_pause_keeps_the_first_one(steps: Steps, rows: Rows) -> None:
    first = pause_queue(steps.link.call, "reports", by="ann", reason="why")

    second = pause_queue(steps.link.call, "reports", by="bob", reason="because")

    assert second == (first[0], False)
    assert audit(rows) == [("pause_queue", "reports", "ann", "why")]


def test_pauses_of_two_queues_do_not_touch_each_other(steps: Steps, rows: Rows) -> None:
    mails = pause_queue(steps.link.call, "mails", by="bob", reason=None)
    reports = pause_queue(steps.link.call, "reports", by="ann", reason=None)

    assert pause_queue(steps.link.call, "reports", by="carol", reason=None) == (reports[0], False)
    assert resume_queue(steps.link.call, "reports", by="carol", reason=None) == reports[0]

    assert find_pauses(steps.link.call) == {"mails": mails[0]}


def test_to_resume_a_queue_that_is_not_paused_does_nothing(
    steps: Steps, rows: Rows, heard: NotificationRecorder
) -> None:
    assert resume_queue(steps.link.call, "reports", by="ann", reason=None) is None

    assert audit(rows) == []
    assert heard.received() == []


def test_in_plain_sql_the_role_is_the_operator(rows: Rows) -> None:
    role = rows.value("SELECT current_user")

    assert rows.one("SELECT changed, paused_by, reason FROM pause_queue('reports')") == {
        "changed": True, "paused_by": role, "reason": None,
    }  # fmt: skip
    assert rows.one("SELECT paused_by FROM resume_queue('reports')") == {"paused_by": role}
    assert [row[2] for row in audit(rows)] == [role, role]


@pytest.mark.parametrize("name", ["", "7up", "a/b", "a b", "ä", "x'y", 'x"y', "a\n", "..", "-", "a" * 201])
def test_a_name_that_no_queue_can_have_is_refused(steps: Steps, rows: Rows, name: str) -> None:
    for act in (pause_queue, resume_queue):
        with pytest.raises(QueueNameError, match="is no name of a queue") as refused:
            act(steps.link.call, name, by="ann", reason=None)
        assert "\n" not in str(refused.value)
    with pytest.raises(PostgresRefusedError, match="queue_pauses_queue_check"):
        steps.link.call("pause_queue", {"queue": name, "by": "ann", "reason": None})

    assert audit(rows) == []


@pytest.mark.parametrize("name", ["_", "NULL", "a.b-c_d", "default", "a" * 200])
def test_any_name_that_a_queue_can_have_may_be_paused(steps: Steps, rows: Rows, name: str) -> None:
    assert pause(steps, name)

    job_id = rows.add_job(queue=name)
    steps.add_worker(queues=[name])
    assert steps.claim() == []
    assert resume(steps, name)
    assert steps.claim_one().job_id == job_id


# What is not claimed.


def test_nothing_is_claimed_from_a_paused_queue_and_all_else_is(steps: Steps, rows: Rows) -> None:
    steps.add_worker(actors=REPORTS | {"run_coding_session": {"queue": "coding", "max_retries": 3}})
    waiting = rows.add_job(actor="build_report", queue="reports", priority=10)
    other = rows.add_job()
    pause(steps, "reports")

    assert [claim.job_id for claim in steps.claim()] == [other]

    resume(steps, "reports")
    assert [claim.job_id for claim in steps.claim()] == [waiting]


def test_it_is_not_claimed_from_while_rows_are_claimed_one_by_one(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    steps.add_worker()
    pause(steps)

    assert claim_apart(steps) == []

    resume(steps)
    assert [claim.job_id for claim in claim_apart(steps)] == [job_id]


def test_the_node_worker_takes_nothing_from_it_and_all_else(steps: Steps, rows: Rows) -> None:
    waiting = rows.add_job(queue="reports", priority=10)
    other = rows.add_job()
    pause(steps, "reports")

    first, second = steps.queue.claim_next_job(), steps.queue.claim_next_job()

    assert first is not None
    assert (first.job_id, second) == (other, None)
    resume(steps, "reports")
    last = steps.queue.claim_next_job()
    assert last is not None
    assert last.job_id == waiting


def test_suspects_wait_too_and_those_of_other_queues_do_not(steps: Steps, rows: Rows) -> None:
    steps.add_worker(actors=REPORTS | {"run_coding_session": {"queue": "coding", "max_retries": 3}})
    waiting = rows.add_job(actor="build_report", queue="reports", crashes=3, priority=10)
    other = rows.add_job(crashes=3)
    pause(steps, "reports")

    def suspects() -> list[UUID]:
        return [claim.job_id for claim in steps.queue.claim_suspects("bridge", lease=LEASE, limit=5)]

    assert suspects() == [other]
    rows.all("DELETE FROM coding_jobs WHERE id = %s", [other])
    assert suspects() == []
    resume(steps, "reports")
    assert suspects() == [waiting]


def test_a_queue_may_be_paused_before_its_first_job_and_its_first_worker(steps: Steps, rows: Rows) -> None:
    pause(steps, "reports")

    rows.add_job(actor="build_report", queue="reports")
    steps.add_worker(actors=REPORTS)

    assert steps.claim() == []


# Jobs that were under way.


def test_a_job_that_was_handed_over_starts_and_completes(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    claim = steps.claim_one()
    pause(steps)

    held = steps.start(worker, claim)

    assert held is not None
    assert steps.complete(held)
    assert rows.status(job_id) == "completed"


@pytest.mark.parametrize("end", ["fail", "release", "reclaim"])
def test_a_job_that_comes_back_waits(steps: Steps, rows: Rows, end: str) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    claim = steps.claim_one()
    pause(steps)

    if end == "reclaim":
        steps.expire(job_id)
        assert steps.reclaim()[job_id] == ("released", "pending")
    else:
        held = steps.start(worker, claim)
        assert held is not None
        steps.fail(held, delay=timedelta(0)) if end == "fail" else steps.release(held)

    assert rows.status(job_id) == "pending"
    assert steps.claim() == []
    assert steps.queue.claim_next_job() is None
    resume(steps)
    assert steps.claim_one().job_id == job_id


def test_a_job_that_the_node_worker_runs_is_reported(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    assert steps.queue.claim_next_job()
    pause(steps)

    steps.queue.complete_job(job_id)

    assert rows.status(job_id) == "completed"


# Jobs stay in their queue.


def test_jobs_are_not_moved_out_of_a_paused_queue(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job(actor="build_report")  # nobody has announced the actor yet: it is in the default queue
    pause(steps, "coding")
    steps.add_worker(actors=REPORTS)

    assert steps.queue.route_jobs(limit=10) == []
    assert steps.claim() == []
    assert rows.job(job_id)["queue"] == "coding"

    resume(steps, "coding")
    (moved,) = steps.queue.route_jobs(limit=10)
    assert (moved.queue, moved.routed_to) == ("coding", "reports")
    assert steps.claim_one().job_id == job_id


def test_a_job_that_becomes_due_stays_in_a_paused_queue(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job(actor="build_report", run_at=datetime.now(UTC) + timedelta(hours=1))
    steps.add_worker(actors=REPORTS)
    pause(steps, "coding")
    steps.make_due(job_id)
    rows.all("UPDATE coding_jobs SET due = false WHERE id = %s", [job_id])

    assert steps.claim() == []

    job = rows.job(job_id)
    assert (job["due"], job["queue"], job["status"]) == (True, "coding", "pending")
    assert steps.queue.seconds_to_next_due() is None, "nothing is left that a bridge would wait for"


def test_jobs_are_moved_into_a_paused_queue_and_wait_there(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job(actor="build_report")
    pause(steps, "reports")
    steps.add_worker(actors=REPORTS)

    (moved,) = steps.queue.route_jobs(limit=10)

    assert moved.routed_to == "reports"
    assert steps.claim() == []
    resume(steps, "reports")
    assert steps.claim_one().job_id == job_id


# The end of a pause.


def test_the_end_of_a_pause_notifies_how_many_jobs_wait(steps: Steps, rows: Rows, heard: NotificationRecorder) -> None:
    pause(steps)
    for _ in range(3):
        rows.add_job()
    rows.add_job(queue="other")
    heard.received()

    resume(steps)

    assert heard.received() == [("new_job", {"count": 3})]


def test_the_statistics_of_the_node_worker_count_paused_jobs(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    before = steps.queue.get_queue_stats()
    pause(steps)

    after = steps.queue.get_queue_stats()

    assert (before.pending_count, after.pending_count) == (1, 1)
    assert after.oldest_pending_age is not None


# At the same time.


def test_of_two_operators_one_pauses_and_both_learn_who(dsn: str, rows: Rows) -> None:
    def act(by: str) -> tuple[str, bool]:
        link = Link(dsn, by)
        try:
            made, is_new = pause_queue(link.call, "reports", by=by, reason=None)
            return made.paused_by, is_new
        finally:
            link.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(act, [f"operator{n}" for n in range(8)]))

    (first,) = {by for by, _ in answers}
    assert [is_new for _, is_new in answers].count(True) == 1
    assert audit(rows) == [("pause_queue", "reports", first, None)]


def test_a_pause_is_told_of_though_another_operator_ends_pauses_all_the_time(dsn: str, rows: Rows) -> None:
    link, other = Link(dsn, "ann"), Link(dsn, "bob")
    done = Event()

    def end() -> None:
        while not done.is_set():
            resume_queue(other.call, "reports", by="bob", reason=None)

    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(end)
        try:
            made = [pause_queue(link.call, "reports", by="ann", reason=None) for _ in range(2000)]
        finally:
            done.set()
            ending.result(10)
    link.close()
    other.close()

    assert all(found.paused_by == "ann" for found, _ in made)
    actions = [action for action, *_ in audit(rows)]
    assert actions.count("pause_queue") == sum(is_new for _, is_new in made)
    assert all(first != second for first, second in pairwise(actions)), "they take turns"


def test_no_job_is_lost_while_queues_are_paused_and_resumed_under_claims(dsn: str, rows: Rows, steps: Steps) -> None:
    made = rows.all("INSERT INTO coding_jobs (prompt) SELECT '' FROM generate_series(1, 400) RETURNING id")
    jobs = {row["id"] for row in made}
    steps.add_worker(slots=1000)
    done = Event()

    def claims() -> list[UUID]:
        ours = Steps(dsn, rows)
        found: list[UUID] = []
        try:
            while not done.is_set():
                spans = [Span("coding", 7)]
                found += [one.job_id for one in ours.queue.claim_jobs("bridge", limit=7, lease=LEASE, spans=spans)]
        finally:
            ours.close()
        return found

    def pause_and_resume() -> bool:
        """Whether half of the jobs are claimed."""
        pause(steps)
        resume(steps)
        return bool(rows.value("SELECT count(*) > 200 FROM coding_jobs WHERE status = 'processing'"))

    with ThreadPoolExecutor(3) as pool:
        claiming = [pool.submit(claims) for _ in range(3)]
        try:
            eventually(pause_and_resume)
        finally:
            done.set()
        found = [job_id for one in claiming for job_id in one.result(10)]
    found += [one.job_id for one in steps.claim(limit=1000)]

    assert len(found) == len(set(found))
    assert set(found) == jobs
    check_invariants(rows)


def test_a_claim_after_the_pause_was_committed_takes_nothing(steps: Steps, rows: Rows, dsn: str) -> None:
    """Also in a transaction that began before it."""
    rows.add_job()
    with psycopg.connect(dsn) as worker:
        worker.execute("SELECT 1")
        pause(steps)
        assert worker.execute("SELECT * FROM claim_next_job()").fetchall() == []


# Rights, and the schema before.


@pytest.fixture
def bridge_role(servers: Servers, dsn: str, rows: Rows) -> Iterator[LimitedRole]:
    role = LimitedRole(servers, dsn, rows)
    yield role
    role.drop()


def test_the_bridges_own_role_pauses_claims_and_resumes(bridge_role: LimitedRole, rows: Rows) -> None:
    job_id = rows.add_job()
    ours = Steps(bridge_role.dsn, rows)
    try:
        ours.add_worker()
        assert pause(ours)
        assert ours.claim() == []
        assert resume(ours)
        assert ours.claim_one().job_id == job_id
    finally:
        ours.close()


@pytest.mark.parametrize(
    ("lost", "lacking"),
    [
        ("REVOKE SELECT ON queue_pauses FROM {role}", "use table public.queue_pauses"),
        (
            "ALTER TABLE queue_pauses ENABLE ROW LEVEL SECURITY; ALTER ROLE {role} NOBYPASSRLS",
            "see the rows of public.queue_pauses",
        ),
    ],
)
def test_a_role_that_cannot_see_pauses_is_refused_at_the_start(
    bridge_role: LimitedRole, rows: Rows, lost: str, lacking: str
) -> None:
    rows.all(lost.format(role=bridge_role.name))

    with pytest.raises(RightsError, match=lacking):
        check_database(bridge_role.dsn, tries=1)


def test_an_application_needs_no_right_on_pauses_to_insert_jobs(rows: Rows, dsn: str, steps: Steps) -> None:
    pause(steps)
    rows.all("CREATE ROLE app; GRANT INSERT ON coding_jobs TO app")
    try:
        with psycopg.connect(dsn, autocommit=True) as application:
            application.execute("SET ROLE app")
            application.execute("INSERT INTO coding_jobs (prompt) VALUES ('x')")
            for forbidden in ("SELECT * FROM queue_pauses", "SELECT pause_queue('coding')"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    application.execute(forbidden)
    finally:
        rows.all("DROP OWNED BY app; DROP ROLE app")


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_web_roles_neither_see_nor_make_pauses(web_roles: None, empty_dsn: str, role: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(legacy.GENEROUS_DEFAULTS + legacy.SCHEMA + legacy.session_events("data", checked=True))
        migrate_up(empty_dsn)
        rows.all(f"SET ROLE {role}")
        statements: list[str] = [
            "SELECT * FROM queue_pauses", "INSERT INTO queue_pauses (queue, paused_by) VALUES ('coding', 'me')",
            "SELECT * FROM operator_audit", "SELECT pause_queue('coding')", "SELECT resume_queue('coding')",
        ]  # fmt: skip
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                rows.all(statement)

        rows.all("SET ROLE service_role")
        rows.all("SELECT pause_queue('coding')")
        assert rows.all("SELECT * FROM claim_next_job()") == []
        rows.all("SELECT resume_queue('coding')")


def test_on_the_schema_before_no_queue_is_paused(steps: Steps, rows: Rows) -> None:
    rows.all("DROP TABLE queue_pauses")

    found: dict[str, Any] = dict(find_pauses(steps.link.call))

    assert found == {}
