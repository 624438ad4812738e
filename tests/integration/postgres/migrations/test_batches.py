"""Changes of many rows, some at a time."""

from bridge.postgres.connect import connect
from bridge.postgres.migrations.batches import Pace, change_in_batches
from tests.support.legacy import fill
from tests.support.rows import Rows

UPDATE = "UPDATE public.coding_jobs SET error_message = 'changed' WHERE status = 'completed';"


def test_all_rows_are_changed_in_several_transactions(empty_dsn: str, old: Rows) -> None:
    fill(old, 250)
    fill(old, 10, "pending")
    with connect(empty_dsn, "migrate") as connection:
        pace = Pace(connection, "coding_jobs")
        pace.rows = 100

        assert change_in_batches(connection, "a change", UPDATE, pace) == 250

    assert old.value("SELECT count(*) FROM coding_jobs WHERE error_message = 'changed'") == 250
    assert old.value("SELECT count(DISTINCT xmin::text) FROM coding_jobs WHERE error_message = 'changed'") == 3


def test_a_published_table_is_changed_at_a_lower_pace(empty_dsn: str, old: Rows) -> None:
    with connect(empty_dsn, "migrate") as connection:
        full = Pace(connection, "coding_jobs")
        old.all("CREATE PUBLICATION supabase_realtime FOR TABLE coding_jobs")

        assert Pace(connection, "coding_jobs").rows < full.rows
