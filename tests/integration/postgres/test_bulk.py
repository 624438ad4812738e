"""Operations on all jobs that a filter means: which jobs these are, and that each is acted on once."""

import random
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.errors import PostgresUnavailableError
from bridge.job import Status
from bridge.postgres import bulk
from bridge.postgres.job_filter import FilterError, parse_filter
from bridge.postgres.job_list import list_jobs
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from tests.support.bulk import ACTED, add_failed, planned, run, shown, started
from tests.support.limited_role import LimitedRole
from tests.support.notifications import NotificationRecorder
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually

AFTERWARDS = {"retry": "pending", "cancel": "cancelled", "replay": "failed"}
REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON coding_jobs FOR EACH ROW WHEN (NEW.actor = 'cursed')
    EXECUTE FUNCTION refuse()"""


def acted_on(rows: Rows, operation: int) -> list[UUID]:
    return [row["job_id"] for row in rows.all(ACTED, [operation])]


def ids(rows: Rows, condition: str = "true") -> list[UUID]:
    return [row["id"] for row in rows.all(f"SELECT id FROM coding_jobs WHERE {condition} ORDER BY id")]


@pytest.mark.parametrize("action", AFTERWARDS)
def test_an_operation_acts_once_on_each_job_that_matches(link: Link, rows: Rows, action: str) -> None:
    add_failed(rows, 57)
    add_failed(rows, 30, queue="other")
    if action == "cancel":
        rows.all("UPDATE coding_jobs SET status = 'pending', completed_at = NULL")
    meant = ids(rows, "queue = 'tests'")

    operation = started(link, action, "queue:tests")
    JobQueue(link).run_bulk_batch(limit=10, looked_at=9)
    assert (shown(link, operation)["state"], shown(link, operation)["finished_at"]) == ("running", None)
    batches = run(link)

    assert acted_on(rows, operation) == meant
    assert {row["status"] for row in rows.all("SELECT status FROM coding_jobs WHERE id = ANY (%s)", [meant])} == {
        AFTERWARDS[action]
    }
    assert max(batch.done for batch in batches) <= 10
    end = shown(link, operation)
    assert (end["state"], end["total"], end["done"], end["skipped"]) == ("done", 57, 57, 0)
    assert end["finished_at"] is not None
    assert rows.all("SELECT DISTINCT action, done_by, reason, bulk_operation FROM job_audit") == [
        {"action": action, "done_by": "ann", "reason": "fixed", "bulk_operation": operation}
    ]


@pytest.mark.parametrize(("action", "acts"), [("retry", 3), ("cancel", 1), ("replay", 2)])
def test_an_operation_on_chosen_jobs_acts_on_those_that_it_can(link: Link, rows: Rows, action: str, acts: int) -> None:
    add_failed(rows, 30)
    failed, pending, completed = ids(rows)[7], rows.add_job(), rows.add_job(status="completed", completed_at="now")
    statuses = {"retry": "true", "cancel": "status = 'pending'", "replay": "status <> 'pending'"}
    meant = ids(rows, f"id IN ('{failed}', '{pending}', '{completed}') AND {statuses[action]}")

    operation = started(link, action, f"id:{completed},{failed},{pending},{uuid4()}")
    batches = run(link)

    assert len(meant) == shown(link, operation)["total"] == acts
    assert acted_on(rows, operation) == meant
    assert len(batches) == 1, "it looks at no other jobs"


def test_a_replay_of_many_makes_one_copy_of_each(link: Link, rows: Rows) -> None:
    add_failed(rows, 40)
    old = rows.all("SELECT * FROM coding_jobs ORDER BY id")

    started(link, "replay", "status:failed")
    run(link)

    assert rows.all("SELECT * FROM coding_jobs WHERE status = 'failed' ORDER BY id") == old
    assert rows.one("SELECT count(*) AS copies, count(DISTINCT job_id) AS old FROM job_audit") == {
        "copies": 40, "old": 40
    }  # fmt: skip
    assert (
        rows.value("SELECT count(*) FROM coding_jobs j JOIN job_audit a ON a.copy = j.id WHERE j.status = 'pending'")
        == 40
    )


CONDITIONS = ("status:failed", "status:pending", "queue:a", "actor:x", "error:Boom", "attempt:2", "older:1h", "red")


@pytest.mark.parametrize("seed", range(12))
def test_the_count_that_is_shown_is_the_number_of_jobs_acted_on(link: Link, rows: Rows, seed: int) -> None:
    chance = random.Random(seed)
    errors, prompts = ["boom 1", "boom 22", "bang"], ["Red", "blue", None]
    jobs = [
        [*map(chance.choice, (list(Status), "ab", "xy", errors, prompts)), chance.randrange(4), chance.randrange(3)]
        for _ in range(150)
    ]
    with rows.connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO coding_jobs (status, queue, actor, error_message, prompt, retry_count, created_at, claimed_at,"
            " completed_at) SELECT %s, %s, %s, %s, %s, %s, t.at, t.at, t.at"
            " FROM (SELECT now() - %s * interval '1 h') t (at)",
            jobs,
        )
    words = chance.sample(CONDITIONS, chance.randrange(3))
    if chance.random() < 0.3:
        words = [word for word in words if not word.startswith("status:")]
        words.append("fingerprint:" + rows.value("SELECT error_fingerprint('boom 7')"))
    if sum(word.startswith("status:") for word in words) > 1:
        words.remove("status:pending")
    meant = parse_filter(" ".join(words))
    action = chance.choice(bulk.actions_for(meant.status))
    statuses = bulk._statuses(action, meant)
    listed = [
        row["id"] for row in list_jobs(link.call, meant, limit=1000, error_most=9).jobs if row["status"] in statuses
    ]

    operation = started(link, action, " ".join(words))
    total = shown(link, operation)["total"]
    run(link, limit=7, looked_at=20)

    assert total == shown(link, operation)["done"] == len(listed)
    assert acted_on(rows, operation) == sorted(listed)


def test_jobs_that_come_later_do_not_match(link: Link, rows: Rows) -> None:
    add_failed(rows, 5)
    operation = planned(link, "retry", "queue:tests")
    add_failed(rows, 5)
    rows.all("UPDATE coding_jobs SET created_at = now() - interval '1 day'")

    bulk.start(link.call, operation, by="ann", reason=None, rate=None)
    run(link)

    assert (shown(link, operation)["total"], shown(link, operation)["done"]) == (5, 5)


def test_a_job_that_fails_again_meanwhile_is_not_retried_again(link: Link, rows: Rows) -> None:
    add_failed(rows, 30)
    operation = started(link, "retry", "status:failed")
    queue = JobQueue(link)

    while queue.run_bulk_batch(limit=4, looked_at=100).id is not None:
        rows.all("UPDATE coding_jobs SET status = 'failed', completed_at = now() WHERE status = 'pending'")

    assert len(acted_on(rows, operation)) == len(set(acted_on(rows, operation))) == 30
    assert shown(link, operation)["done"] == 30


def test_completed_jobs_run_again_only_if_the_filter_says_so(link: Link, rows: Rows) -> None:
    add_failed(rows, 2)
    rows.add_job(status="completed", queue="tests")
    rows.add_job(status="pending", queue="tests")

    for action in ("retry", "replay"):
        assert shown(link, planned(link, action, "queue:tests"))["counts"] == {"failed": 2}
        assert shown(link, planned(link, action, "status:completed"))["counts"] == {"completed": 1}
    assert shown(link, planned(link, "cancel", "queue:tests"))["counts"] == {"pending": 1}
    assert shown(link, planned(link, "retry", "queue:none"))["total"] == 0


@pytest.mark.parametrize(("action", "status"), [("retry", "processing"), ("cancel", "failed"), ("replay", "pending")])
def test_an_action_that_a_status_does_not_allow_is_refused(link: Link, rows: Rows, action: str, status: str) -> None:
    with pytest.raises(FilterError, match=f"{action} acts on jobs that are .*, not on {status} ones"):
        planned(link, action, f"status:{status}")

    assert action not in bulk.actions_for(Status(status))
    assert rows.value("SELECT count(*) FROM bulk_operations") == 0


def test_running_jobs_are_marked_and_handed_over_ones_end(link: Link, steps: Steps, rows: Rows) -> None:
    waiting = rows.add_job()
    handed_over = rows.add_job(priority=1)
    running = rows.add_job(priority=2)
    session = rows.add_session()
    rows.all("UPDATE coding_jobs SET session_id = %s WHERE id = %s", [session, handed_over])
    worker = steps.add_worker()
    steps.start(worker, steps.claim(1)[0])
    steps.claim(1)

    operation = started(link, "cancel", "")
    run(link)

    assert [rows.status(job) for job in (waiting, handed_over, running)] == ["cancelled", "cancelled", "processing"]
    assert rows.job(running)["cancel_requested_at"] is not None
    assert rows.outcomes(handed_over) == ["cancelled"]
    assert rows.outcomes(waiting) == rows.outcomes(running) == []
    assert rows.session(session)["status"] == "failed"
    assert shown(link, operation)["done"] == 3


def test_a_start_that_is_sent_twice_starts_once(link: Link, rows: Rows) -> None:
    add_failed(rows, 3)
    operation = started(link, "retry", "status:failed")
    run(link)
    add_failed(rows, 3)

    assert bulk.start(link.call, operation, by="bob", reason="again", rate=1) == "done"
    assert bulk.stop(link.call, operation, by="bob") == "done"
    assert run(link) == []
    assert shown(link, operation)["made_by"] == "ann"


def test_an_operation_that_does_not_exist_has_no_state(link: Link) -> None:
    assert bulk.start(link.call, 7, by="ann", reason=None, rate=None) is None
    assert bulk.stop(link.call, 7, by="ann") is None
    assert bulk.show(link.call, 7) is None


def test_plans_that_nobody_started_are_not_listed_and_go_after_a_day(link: Link, rows: Rows) -> None:
    add_failed(rows, 1)
    first, second, third = (planned(link, "retry", "status:failed") for _ in range(3))
    bulk.start(link.call, second, by="ann", reason=None, rate=None)
    rows.all("UPDATE bulk_operations SET made_at = now() - interval '25 h' WHERE id <> %s", [third])

    assert [row["id"] for row in bulk.latest(link.call)] == [second]
    fourth = planned(link, "retry", "status:failed")
    assert [row["id"] for row in rows.all("SELECT id FROM bulk_operations ORDER BY id")] == [second, third, fourth]
    assert bulk.show(link.call, first) is None


@pytest.mark.parametrize("number", [1, 2])
def test_jobs_that_run_again_are_notified_of_as_new_ones(link: Link, rows: Rows, dsn: str, number: int) -> None:
    add_failed(rows, number)
    job = rows.job(ids(rows)[0])
    listener = NotificationRecorder(dsn, "new_job")

    for _ in range(2):  # the second time there is nothing to do
        started(link, "retry", "status:failed")
        run(link)

    (note,) = [note for _, note in listener.received()]
    listener.connection.close()
    assert note == {"count": 2} if number == 2 else (note["job_id"], note["priority"]) == (str(job["id"]), 0)


def test_only_the_job_that_runs_again_is_notified_of(link: Link, rows: Rows, steps: Steps, dsn: str) -> None:
    running = rows.add_job()
    steps.started()
    add_failed(rows, 2)
    listener = NotificationRecorder(dsn, "new_job")
    (again, _) = ids(rows, "status = 'failed'")

    assert rows.value("SELECT retry_jobs(%s, 'ann', NULL, NULL)", [[running, again]]) == 1

    assert [note["job_id"] for _, note in listener.received()] == [str(again)]
    listener.connection.close()


# Faults.


def test_a_batch_whose_runner_dies_is_done_by_the_next_one_and_nothing_twice(link: Link, rows: Rows, dsn: str) -> None:
    add_failed(rows, 60)
    operation = started(link, "replay", "status:failed")
    victim = Link(dsn, "victim")
    JobQueue(victim).run_bulk_batch(limit=20, looked_at=100)

    def die() -> None:
        with victim.transaction():
            JobQueue(victim).run_bulk_batch(limit=20, looked_at=100)
            rows.all("SELECT pg_terminate_backend(%s)", [victim.connection.info.backend_pid])
            JobQueue(victim).run_bulk_batch(limit=20, looked_at=100)

    with pytest.raises(PostgresUnavailableError):
        die()
    assert shown(link, operation)["done"] == 20
    run(link)

    assert acted_on(rows, operation) == ids(rows, "status = 'failed'")
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'pending'") == 60
    assert shown(link, operation)["done"] == 60


def test_several_bridges_share_an_operation_and_do_nothing_twice(link: Link, rows: Rows, dsn: str) -> None:
    add_failed(rows, 400)
    operation = started(link, "replay", "status:failed")

    def work(_: int) -> int:
        mine, done = Link(dsn, "bridge"), 0
        try:
            while shown(mine, operation)["state"] != "done":
                done += JobQueue(mine).run_bulk_batch(limit=10, looked_at=50).done
        finally:
            mine.close()
        return done

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 400

    assert acted_on(rows, operation) == ids(rows, "status = 'failed'")
    assert shown(link, operation)["done"] == 400


def test_while_a_batch_is_under_way_others_find_nothing_to_do_and_rest(link: Link, rows: Rows, dsn: str) -> None:
    add_failed(rows, 20)
    started(link, "retry", "status:failed")
    other = Link(dsn, "other")

    with link.transaction():
        JobQueue(link).run_bulk_batch(limit=5, looked_at=50)
        batch = JobQueue(other).run_bulk_batch(limit=5, looked_at=50)

    other.close()
    assert (batch.id, batch.done) == (None, 0)
    assert batch.wait is not None


def test_a_stop_between_two_batches_leaves_the_other_jobs_alone(link: Link, rows: Rows) -> None:
    add_failed(rows, 50)
    operation = started(link, "retry", "status:failed")
    JobQueue(link).run_bulk_batch(limit=10, looked_at=100)
    other = planned(link, "retry", "status:failed")

    assert bulk.stop(link.call, operation, by="bob") == "stopped"

    assert run(link) == []
    assert shown(link, other)["state"] == "planned"
    end = shown(link, operation)
    assert (end["state"], end["done"], end["stopped_by"]) == ("stopped", 10, "bob")
    assert end["finished_at"] is not None
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'failed'") == 40


def test_a_stop_during_a_batch_waits_for_nobody_and_no_batch_follows(link: Link, rows: Rows, dsn: str) -> None:
    add_failed(rows, 50)
    operation = started(link, "retry", "status:failed")
    bridge = Link(dsn, "bridge")

    with bridge.transaction():
        bridge.connection.execute("SELECT pg_advisory_xact_lock(bulk_lock(%s))", [operation])  # as a batch begins
        assert bulk.stop(link.call, operation, by="bob") == "stopping"
        assert bulk.stop(link.call, operation, by="bob") == "stopping"

    bridge.close()
    assert [(batch.state, batch.done) for batch in run(link)] == [("stopped", 0)]
    assert shown(link, operation)["finished_at"] is not None


def test_a_batch_that_was_under_way_ends_a_stopped_operation(link: Link, rows: Rows, dsn: str) -> None:
    """The stop comes while the batch's transaction is open: what it did counts, and then nothing follows."""
    add_failed(rows, 50)
    operation = started(link, "retry", "status:failed")
    slow = Link(dsn, "bridge")
    rows.all("""
        CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$;
        CREATE TRIGGER slowly AFTER UPDATE ON coding_jobs FOR EACH STATEMENT EXECUTE FUNCTION slowly()""")
    rows.all("SELECT pg_advisory_lock(7)")
    rows.all("ALTER FUNCTION act_on_batch SET lock_timeout = '10s'")

    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(JobQueue(slow).run_bulk_batch, limit=10, looked_at=100)
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
        eventually(lambda: rows.value(waits) == 1)
        assert bulk.stop(link.call, operation, by="bob") == "stopping"
        rows.all("SELECT pg_advisory_unlock(7)")
        assert (batch.result(10).state, batch.result().done) == ("stopped", 10)

    slow.close()
    assert run(link) == []
    assert (shown(link, operation)["state"], shown(link, operation)["done"]) == ("stopped", 10)


def test_a_stop_between_the_choice_of_an_operation_and_its_batch_is_final(link: Link, rows: Rows, dsn: str) -> None:
    add_failed(rows, 5)
    operation = started(link, "retry", "status:failed")
    slow = Link(dsn, "bridge")
    rows.all("""
        CREATE OR REPLACE FUNCTION bulk_lock(p_id bigint) RETURNS bigint VOLATILE LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN p_id; END $$;
        SELECT pg_advisory_lock(7)""")

    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(JobQueue(slow).run_bulk_batch, limit=10, looked_at=100)
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
        eventually(lambda: rows.value(waits) == 1)
        rows.all("UPDATE bulk_operations SET state = 'stopped', finished_at = now()")
        rows.all("SELECT pg_advisory_unlock(7)")
        assert batch.result(10).done == 0

    slow.close()
    assert (shown(link, operation)["state"], shown(link, operation)["finished_at"] is None) == ("stopped", False)


@pytest.mark.parametrize(
    ("body", "why"),
    [("RAISE 'not today';", "not today"), ("RAISE insufficient_privilege USING MESSAGE = 'mine';", "mine")],
)
@pytest.mark.parametrize("action", ["retry", "replay"])
def test_a_job_that_the_database_refuses_is_skipped_and_counted(
    link: Link, rows: Rows, action: str, body: str, why: str
) -> None:
    add_failed(rows, 20)
    cursed = ids(rows)[3:19:5]
    others = set(ids(rows)) - set(cursed)
    rows.all("UPDATE coding_jobs SET actor = 'cursed' WHERE id = ANY (%s)", [cursed])
    rows.all(REFUSE.format(body=body))

    operation = started(link, action, "status:failed")
    batches = run(link)

    end = shown(link, operation)
    assert (end["state"], end["done"], end["skipped"], end["first_refusal"]) == ("done", 16, 4, why)
    assert set(acted_on(rows, operation)) == others
    assert [batch.refusal for batch in batches if batch.refusal] == [why], "it is reported once"
    assert len(batches) == 3, "each goes on behind the refused ones"


def test_jobs_that_are_refused_slowly_are_tried_for_two_seconds_in_one_batch(link: Link, rows: Rows) -> None:
    add_failed(rows, 10)
    rows.all("UPDATE coding_jobs SET actor = 'cursed'")
    rows.all(REFUSE.format(body="PERFORM pg_sleep(0.5); RAISE 'slowly';"))
    operation = started(link, "retry", "status:failed")

    batch = JobQueue(link).run_bulk_batch(limit=10, looked_at=100)

    assert (batch.state, batch.done, batch.refusal) == ("running", 0, "slowly")
    assert 3 <= batch.skipped <= 6
    assert shown(link, operation)["skipped"] == batch.skipped


def test_a_change_that_a_trigger_suppresses_is_skipped(link: Link, rows: Rows) -> None:
    add_failed(rows, 6)
    rows.all("UPDATE coding_jobs SET actor = 'cursed' WHERE id = %s", [ids(rows)[2]])
    rows.all(REFUSE.format(body="RETURN NULL;"))

    operation = started(link, "retry", "status:failed")
    run(link)

    assert (shown(link, operation)["done"], shown(link, operation)["skipped"]) == (5, 1)


def test_a_deferred_constraint_concerns_one_job_only(link: Link, rows: Rows) -> None:
    add_failed(rows, 6)
    rows.all("UPDATE coding_jobs SET actor = 'cursed' WHERE id = %s", [ids(rows)[2]])
    rows.all("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'too late'; END $$;
        CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON coding_jobs DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.actor = 'cursed') EXECUTE FUNCTION refuse()""")

    operation = started(link, "retry", "status:failed")
    run(link)

    assert (shown(link, operation)["done"], shown(link, operation)["skipped"]) == (5, 1)


def test_a_job_that_somebody_keeps_locked_is_skipped_and_holds_up_no_other(link: Link, rows: Rows, dsn: str) -> None:
    add_failed(rows, 6)
    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM coding_jobs WHERE id = %s FOR UPDATE", [ids(rows)[2]])
        operation = started(link, "retry", "status:failed")
        run(link)

    end = shown(link, operation)
    assert (end["state"], end["done"], end["skipped"]) == ("done", 5, 1)
    assert "lock timeout" in end["first_refusal"]


def test_an_error_that_is_of_no_job_ends_the_batch_and_is_raised(link: Link, rows: Rows) -> None:
    add_failed(rows, 6)
    operation = started(link, "retry", "status:failed")
    rows.all("ALTER TABLE job_audit RENAME TO hidden")

    with pytest.raises(Exception, match="job_audit"):
        run(link)

    rows.all("ALTER TABLE hidden RENAME TO job_audit")
    assert (shown(link, operation)["state"], shown(link, operation)["done"]) == ("running", 0)


def test_the_rate_limits_the_jobs_of_a_batch_and_the_time_to_the_next(link: Link, rows: Rows) -> None:
    add_failed(rows, 20)
    operation = started(link, "retry", "status:failed", rate=4)

    first = JobQueue(link).run_bulk_batch(limit=100, looked_at=100)
    second = JobQueue(link).run_bulk_batch(limit=100, looked_at=100)

    assert (first.done, second.id) == (4, None)
    assert second.wait is not None
    assert 0.5 < second.wait <= 1
    rows.all("UPDATE bulk_operations SET next_batch_at = now()")
    assert JobQueue(link).run_bulk_batch(limit=100, looked_at=100).done == 4
    assert shown(link, operation)["jobs_per_second"] == 4


def test_operations_take_turns(link: Link, rows: Rows) -> None:
    add_failed(rows, 30, queue="a")
    add_failed(rows, 30, queue="b")
    operations = [started(link, "retry", f"queue:{queue}") for queue in "ab"]

    turns = [JobQueue(link).run_bulk_batch(limit=5, looked_at=100).id for _ in range(4)]

    assert turns == operations * 2


def test_where_counting_takes_too_long_the_number_is_unknown_and_all_are_acted_on(
    link: Link, rows: Rows, dsn: str
) -> None:
    add_failed(rows, 15)
    hurried = Link(dsn, "web", statement_timeout_ms=300)
    with psycopg.connect(dsn) as somebody:
        somebody.execute("LOCK TABLE coding_jobs")
        operation = planned(hurried, "retry", "status:failed")
    hurried.close()

    assert shown(link, operation)["total"] is None
    bulk.start(link.call, operation, by="ann", reason=None, rate=None)
    run(link)
    assert shown(link, operation)["done"] == 15


@pytest.mark.parametrize(
    "words", ['"\'; DROP TABLE coding_jobs; --"', "error:%s", 'queue:"a\' OR true"', '"x\\\\"', "actor:$1 {x}"]
)
def test_what_a_filter_says_is_a_value_and_never_sql(link: Link, rows: Rows, words: str) -> None:
    add_failed(rows, 3)

    operation = started(link, "retry", words)
    run(link)

    end = shown(link, operation)
    assert (end["total"], end["done"], end["state"]) == (0, 0, "done")
    assert parse_filter(end["filter"]) == parse_filter(words)
    assert len(ids(rows, "status = 'failed'")) == 3


def test_a_role_with_the_granted_rights_plans_starts_runs_and_stops(role: LimitedRole, rows: Rows) -> None:
    add_failed(rows, 5)
    link = Link(role.dsn, "bridge")
    try:
        for action in ("replay", "retry", "cancel"):
            started(link, action, "queue:tests")
            assert sum(batch.done for batch in run(link)) > 0, action
        assert bulk.stop(link.call, planned(link, "cancel", ""), by="ann") == "stopped"
        assert link.call("dead_letters", {"after": None, "groups": 9, "jobs": 9, "error_most": 9}) == []
    finally:
        link.close()


def test_a_number_of_jobs_a_second_is_read_or_explained() -> None:
    assert [bulk.parse_rate(text) for text in ("", " ", "1", " 100000 ")] == [None, None, 1, 100_000]
    for text in ("0", "-1", "x", "1.5", "100001", "٣", "1" * 5000):
        with pytest.raises(FilterError, match="must be a number from 1 to 100000"):
            bulk.parse_rate(text)
