"""A replay: a copy of a job, and what is recorded about it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from bridge.postgres.link import Link
from tests.support.rows import Rows
from tests.support.steps import Steps

COPIED = ("actor", "queue", "payload", "prompt", "session_id", "priority", "max_retries")


def replay(link: Link, job_id: UUID, **changes: Any) -> UUID | None:
    asked = {"payload": None, "prompt": None, "by": "ann", "reason": None, "copy": None}
    copy: UUID | None = link.call("replay_job", asked | {"id": job_id} | changes)[0]["copy"]
    return copy


def copied(rows: Rows, job_id: UUID) -> list[Any]:
    job = rows.job(job_id)
    return [job[name] for name in COPIED]


def test_a_replay_is_a_new_job_and_the_old_one_stays_as_it_is(steps: Steps, rows: Rows, link: Link) -> None:
    old = rows.add_job(
        actor="build", queue="reports", payload={"n": 1}, prompt="paint", session_id=rows.add_session(), priority=7,
        max_retries=1,
    )  # fmt: skip
    worker = steps.add_worker(actors={"build": {"queue": "reports", "max_retries": 1}})
    steps.fail(steps.started(worker), "boom")
    before = rows.job(old)

    copy = replay(link, old, reason="fixed")

    assert copy is not None
    assert rows.job(old) == before
    assert rows.outcomes(old) == ["failed"]
    assert copied(rows, copy) == copied(rows, old)
    new = rows.job(copy)
    assert (new["status"], new["retry_count"], new["error_message"], new["fence"]) == ("pending", 0, None, 0)
    assert rows.all("SELECT job_id, action, done_by, reason, status_before, status_after, copy FROM job_audit") == [
        {
            "job_id": old, "action": "replay", "done_by": "ann", "reason": "fixed", "status_before": "failed",
            "status_after": "pending", "copy": copy,
        }
    ]  # fmt: skip


def test_a_replay_may_change_the_payload_or_the_prompt(rows: Rows, link: Link) -> None:
    old = rows.add_job(payload={"n": 1}, prompt="paint it blue")

    payload = replay(link, old, payload='{"n": 2}')
    prompt = replay(link, old, prompt="paint it red")

    assert payload is not None
    assert prompt is not None
    assert (rows.job(payload)["payload"], rows.job(payload)["prompt"]) == ({"n": 2}, "paint it blue")
    assert (rows.job(prompt)["payload"], rows.job(prompt)["prompt"]) == ({"n": 1}, "paint it red")


def test_a_replay_that_is_sent_twice_is_done_once(rows: Rows, dsn: str) -> None:
    old, copy = rows.add_job(), uuid4()

    def send(_: int) -> UUID | None:
        link = Link(dsn, "double click")
        try:
            return replay(link, old, copy=copy)
        finally:
            link.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(send, range(8))) == [copy] * 8

    assert rows.value("SELECT count(*) FROM coding_jobs") == 2
    assert rows.value("SELECT count(*) FROM job_audit") == 1


def test_a_replay_that_is_sent_again_after_its_copy_was_deleted_is_not_done_again(rows: Rows, link: Link) -> None:
    old, copy = rows.add_job(), uuid4()
    replay(link, old, copy=copy)
    rows.all("DELETE FROM coding_jobs WHERE id = %s", [copy])

    assert replay(link, old, copy=copy) == copy
    assert rows.value("SELECT count(*) FROM coding_jobs") == 1


def test_the_id_of_one_jobs_copy_is_not_an_answer_for_another_job(rows: Rows, link: Link) -> None:
    old, copy = rows.add_job(), uuid4()
    replay(link, old, copy=copy)

    assert replay(link, uuid4(), copy=copy) is None


def test_there_is_no_replay_of_a_job_that_does_not_exist(rows: Rows, link: Link) -> None:
    assert replay(link, uuid4()) is None
    assert rows.value("SELECT count(*) FROM job_audit") == 0


@pytest.mark.parametrize(("queue", "attempts"), [("coding", 3), ("coding", 4), ("reports", 3)])
def test_a_replay_has_the_attempts_of_the_old_job(
    steps: Steps, rows: Rows, link: Link, queue: str, attempts: int
) -> None:
    old = rows.add_job(actor="build", queue=queue, max_retries=attempts)
    rows.all("UPDATE coding_jobs SET retries_from_actor = false")
    steps.add_worker(queues=[queue], actors={"build": {"queue": queue, "max_retries": 9}})

    copy = replay(link, old)

    assert copy is not None
    assert copied(rows, copy) == copied(rows, old)
    assert not rows.job(copy)["retries_from_actor"]


def test_the_replay_of_a_job_that_named_no_attempts_has_those_of_its_actor(
    steps: Steps, rows: Rows, link: Link
) -> None:
    old = rows.add_job(actor="build")
    steps.add_worker(actors={"build": {"queue": "coding", "max_retries": 9}})

    copy = replay(link, old)

    assert copy is not None
    assert rows.job(copy)["max_retries"] == 9


def test_three_attempts_of_a_replay_do_not_apply_to_what_is_inserted_later(
    rows: Rows, link: Link, steps: Steps
) -> None:
    old = rows.add_job(actor="build", queue="coding", max_retries=3)
    rows.all("UPDATE coding_jobs SET retries_from_actor = false")
    steps.add_worker(actors={"build": {"queue": "coding", "max_retries": 9}})

    with link.transaction():
        replay(link, old)
        later = link.connection.execute("INSERT INTO coding_jobs (actor) VALUES ('build') RETURNING id").fetchone()

    assert later is not None
    assert rows.job(later["id"])["max_retries"] == 9


def test_a_replay_that_a_hosts_trigger_refuses_leaves_no_trace(rows: Rows, link: Link) -> None:
    old = rows.add_job()
    rows.all("""
        CREATE FUNCTION no_more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER no_more BEFORE INSERT ON coding_jobs FOR EACH ROW EXECUTE FUNCTION no_more()""")

    assert replay(link, old) is None
    assert rows.value("SELECT count(*) FROM job_audit") == 0


def test_several_jobs_are_replayed_at_once_each_with_its_own_row_in_the_audit(rows: Rows) -> None:
    old = sorted([rows.add_job(payload={"n": n}) for n in range(3)])

    assert rows.value("SELECT replay_jobs(%s, NULL, NULL, 'ann', NULL, NULL, NULL)", [old]) == 3

    pairs = rows.all(
        "SELECT a.job_id, j.payload FROM job_audit a JOIN coding_jobs j ON j.id = a.copy ORDER BY a.job_id"
    )
    assert pairs == [{"job_id": job, "payload": rows.job(job)["payload"]} for job in old]
