"""Finished jobs are deleted after their time. Jobs that a host keeps delay neither the others nor other upkeep."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bridge.dispatch import retention
from bridge.dispatch.retention import Retention
from bridge.dispatch.upkeep import Upkeep
from bridge.postgres.queue_rows import Pruned
from tests.support.rows import Rows, old_jobs
from tests.support.steps import Steps

DAY = timedelta(days=1)
REFERENCES = "CREATE TABLE invoices (job_id uuid REFERENCES coding_jobs (id)"
KEPT = "Finished jobs stay: the database refuses to delete them"


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
def test_jobs_that_a_host_keeps_stay_and_the_others_are_deleted(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture, keep: Callable[[Rows, list[UUID]], None]
) -> None:
    kept, *_ = ids = old_jobs(rows, 10)
    keep(rows, [kept])
    upkeep = Upkeep(steps.queue, retention=DAY)

    for _ in range(3):
        upkeep.step()

    assert [row["id"] for row in rows.all("SELECT id FROM coding_jobs WHERE id = ANY (%s)", [ids])] == [kept]
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (record.getMessage(), record.jobs) == (KEPT, 1)  # type: ignore[attr-defined]
    by = "a trigger or rule" if keep is by_silent_trigger else "invoices_job_id_fkey"
    assert by in record.reason  # type: ignore[attr-defined]


@pytest.mark.parametrize("behind", [None, retention._BEFORE_ALL])
def test_only_jobs_that_ended_long_ago_are_deleted(steps: Steps, rows: Rows, behind: Pruned | None) -> None:
    old_jobs(rows, 2)
    old = "completed_at, retry_count) VALUES (now() - interval '5 days', 0"
    others = [
        rows.add_job(),
        rows.add_job(status="completed", completed_at=datetime.now(UTC)),
        *(rows.value(f"INSERT INTO coding_jobs ({old}) RETURNING id") for _ in range(2)),
    ]
    rows.all("UPDATE coding_jobs SET status = 'processing' WHERE id = %s", others[-1:])

    found = steps.queue.prune_jobs(DAY, limit=10, behind=behind)

    assert (found.pruned, found.kept, found.more) == (2, 0, False)
    assert {row["id"] for row in rows.all("SELECT id FROM coding_jobs")} == set(others)
    assert steps.queue.prune_jobs(DAY, limit=10, behind=found) == replace(found, pruned=0)


def test_a_whole_batch_of_kept_jobs_does_not_block_the_others(
    steps: Steps, rows: Rows, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retention, "_MOST", 2)
    caplog.set_level(logging.INFO)
    ids = sorted(old_jobs(rows, 9))
    by_reference(rows, ids[:5])
    upkeep = Retention(steps.queue, DAY)
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
