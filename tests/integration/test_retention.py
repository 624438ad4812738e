"""Finished jobs go after their time: none that a host's database keeps holds up the others, nor any other upkeep."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bridge import retention
from bridge.job import Pruned
from bridge.retention import Retention
from bridge.upkeep import Upkeep
from tests.support.hands import Hands
from tests.support.rows import Rows

DAY = timedelta(days=1)
REFERENCES = "CREATE TABLE invoices (job_id uuid REFERENCES coding_jobs (id)"
KEPT = "Finished jobs stay: the database refuses to delete them"
COUNTS = "Upkeep cannot do this now (Postgres does not allow this the way it is set up): add up the counts of jobs"


def old_jobs(rows: Rows, count: int) -> list[UUID]:
    return [
        row["id"]
        for row in rows.all(
            "INSERT INTO coding_jobs (status, completed_at)"
            " SELECT 'completed', now() - interval '5 days' FROM generate_series(1, %s) RETURNING id",
            [count],
        )
    ]


def by_reference(rows: Rows, ids: list[UUID]) -> None:
    rows.all(f"{REFERENCES})")
    rows.all("INSERT INTO invoices SELECT unnest(%s::uuid[])", [ids])


def by_deferred_reference(rows: Rows, ids: list[UUID]) -> None:
    rows.all(f"{REFERENCES} DEFERRABLE INITIALLY DEFERRED)")
    rows.all("INSERT INTO invoices SELECT unnest(%s::uuid[])", [ids])


def by_trigger(rows: Rows, ids: list[UUID], answer: str = "RAISE 'invoices_job_id_fkey, in effect'") -> None:
    rows.all("CREATE TABLE invoices (job_id uuid)")
    rows.all("INSERT INTO invoices SELECT unnest(%s::uuid[])", [ids])
    rows.all(f"""
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF OLD.id IN (SELECT job_id FROM public.invoices) THEN {answer}; END IF; RETURN OLD; END $$;
        CREATE TRIGGER refuse BEFORE DELETE ON coding_jobs FOR EACH ROW EXECUTE FUNCTION refuse()""")


def by_silent_trigger(rows: Rows, ids: list[UUID]) -> None:
    by_trigger(rows, ids, "RETURN NULL")


def by_assertion(rows: Rows, ids: list[UUID]) -> None:
    by_trigger(rows, ids, "ASSERT false, 'invoices_job_id_fkey, in effect'")


@pytest.mark.parametrize("keep", [by_reference, by_deferred_reference, by_trigger, by_silent_trigger, by_assertion])
def test_what_a_host_keeps_stays_and_the_others_go(
    hands: Hands, rows: Rows, caplog: pytest.LogCaptureFixture, keep: Callable[[Rows, list[UUID]], None]
) -> None:
    kept, *_ = ids = old_jobs(rows, 10)
    keep(rows, [kept])
    upkeep = Upkeep(hands.queue, retention=DAY)

    for _ in range(3):
        upkeep.step()

    assert [row["id"] for row in rows.all("SELECT id FROM coding_jobs WHERE id = ANY (%s)", [ids])] == [kept]
    (told,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (told.getMessage(), told.jobs) == (KEPT, 1)  # type: ignore[attr-defined]
    by = "a trigger or rule" if keep is by_silent_trigger else "invoices_job_id_fkey"
    assert by in told.reason  # type: ignore[attr-defined]


@pytest.mark.parametrize("behind", [None, retention._BEFORE_ALL])
def test_only_what_ended_long_ago_goes(hands: Hands, rows: Rows, behind: Pruned | None) -> None:
    old_jobs(rows, 2)
    old = "completed_at, retry_count) VALUES (now() - interval '5 days', 0"
    others = [
        rows.add_job(),
        rows.add_job(status="completed", completed_at=datetime.now(UTC)),
        *(rows.value(f"INSERT INTO coding_jobs ({old}) RETURNING id") for _ in range(2)),
    ]
    rows.all("UPDATE coding_jobs SET status = 'processing' WHERE id = %s", others[-1:])

    found = hands.queue.prune_jobs(DAY, limit=10, behind=behind)

    assert (found.pruned, found.kept, found.more) == (2, 0, False)
    assert {row["id"] for row in rows.all("SELECT id FROM coding_jobs")} == set(others)
    assert hands.queue.prune_jobs(DAY, limit=10, behind=found) == replace(found, pruned=0)


def test_a_batch_of_kept_ones_does_not_stand_before_the_others(
    hands: Hands, rows: Rows, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retention, "_MOST", 2)
    caplog.set_level(logging.INFO)
    ids = sorted(old_jobs(rows, 9))
    by_reference(rows, ids[:5])
    upkeep = Retention(hands.queue, DAY)
    step = upkeep.step
    while step():
        pass

    assert sorted(row["id"] for row in rows.all("SELECT id FROM coding_jobs")) == ids[:5]

    late = old_jobs(rows, 1)
    rows.all("UPDATE coding_jobs SET completed_at = now() - interval '2 days' WHERE id = ANY (%s)", [late])
    while step():
        pass
    assert sorted(row["id"] for row in rows.all("SELECT id FROM coding_jobs")) == ids[:5]
    upkeep._begin_at = 0.0  # the hour is over
    rows.all("DELETE FROM invoices")
    while step():
        pass
    assert rows.all("SELECT id FROM coding_jobs") == []
    assert caplog.messages == [KEPT, "All finished jobs can be deleted again"]


def test_a_step_that_is_refused_stops_no_other_and_is_told_once(
    hands: Hands, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    old_jobs(rows, 3)
    worker = hands.add_worker()
    rows.all("UPDATE workers SET stopped_at = now() - interval '8 days' WHERE id = %s", [worker])
    rows.all("ALTER TABLE job_counts REPLICA IDENTITY NOTHING; CREATE PUBLICATION theirs FOR ALL TABLES")
    upkeep = Upkeep(hands.queue, retention=DAY)

    upkeep.step()
    upkeep.step()

    assert rows.all("SELECT id FROM coding_jobs") == rows.all("SELECT id FROM workers") == []
    (told,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert told.getMessage() == COUNTS
    assert "replica identity" in told.reason  # type: ignore[attr-defined]

    rows.all("DROP PUBLICATION theirs")
    caplog.set_level(logging.INFO)
    upkeep.step()
    assert caplog.messages[-1] == "Upkeep goes on: add up the counts of jobs"
