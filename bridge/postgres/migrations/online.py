"""Steps that take long on a table with rows, done before the migrations while jobs run. No strong lock is held long.

The migrations contain the same steps, in one transaction each, and skip what is done. Each step here may be stopped
and repeated.
"""

import logging
from functools import partial

from bridge.postgres.connection import Connection
from bridge.postgres.migrations.batches import Pace, change, change_in_batches, run, value
from bridge.postgres.migrations.files import sections
from bridge.postgres.migrations.indexes import create_indexes
from bridge.postgres.migrations.locks import with_lock_retries

logger = logging.getLogger(__name__)

_NEVER_NULL = ("status", "priority", "retry_count", "max_retries", "created_at", "updated_at")
_COUNT_WAITING = "SELECT count(*) FROM public.coding_jobs WHERE seq = 0 AND status IN ('pending', 'processing')"
# Rows that may be inserted between the count and the lock, in the time of a lock timeout: many, as a gap costs nothing.
_MORE_MEANWHILE = 100_000
_NUMBER = """
    UPDATE public.coding_jobs j SET seq = n.seq
    FROM (SELECT o.id, %(place)s + row_number() OVER (ORDER BY o.created_at, o.id) AS seq
          FROM (SELECT id, created_at FROM public.coding_jobs WHERE seq = 0 AND status IN ('pending', 'processing')
                ORDER BY created_at, id LIMIT %(size)s) o) n
    WHERE j.id = n.id"""
_IS_COMPLETE = " AND ".join(f"{column} IS NOT NULL" for column in _NEVER_NULL)


def prepare_events(connection: Connection) -> None:
    """Add the column of session_events at once and its index in the background: it may be the largest table."""
    if not value(connection, "SELECT to_regclass('public.session_events') IS NOT NULL"):
        return
    with_lock_retries(connection, "session_events.seq", lambda: run(connection, """
        CREATE SEQUENCE IF NOT EXISTS public.session_events_seq;
        ALTER TABLE public.session_events ADD COLUMN IF NOT EXISTS seq bigint"""))  # fmt: skip
    create_indexes(connection, "session_events")


def prepare_sessions(connection: Connection) -> None:
    if value(connection, "SELECT to_regclass('public.coding_sessions') IS NOT NULL"):
        create_indexes(connection, "coding_sessions")


def prepare_attempts(connection: Connection) -> None:
    if value(connection, "SELECT to_regclass('public.job_attempts') IS NOT NULL"):
        create_indexes(connection, "job_attempts")


def prepare_jobs(connection: Connection) -> None:
    """All parts of the table steps that read or write the whole of coding_jobs."""
    if not value(connection, "SELECT to_regclass('public.coding_jobs') IS NOT NULL"):
        return
    steps = sections()
    # Its grant at once: each client's INSERT draws from it as soon as the column has its default, long before the end.
    with_lock_retries(connection, "coding_jobs_seq", lambda: run(connection, """
        CREATE SEQUENCE IF NOT EXISTS public.coding_jobs_seq;
        GRANT USAGE ON SEQUENCE public.coding_jobs_seq TO PUBLIC"""))  # fmt: skip
    for name in ("columns", "optional"):
        with_lock_retries(connection, f"coding_jobs: {name}", partial(run, connection, steps[name]))
    pace = Pace(connection, "coding_jobs")
    _repair(connection, steps["repair"], pace)
    _add_rules(connection, steps, pace)
    create_indexes(connection, "coding_jobs")
    _number(connection, steps["order"], pace)


def _repair(connection: Connection, update: str, pace: Pace) -> None:
    """Correct rows that no claim would find."""
    quiet = sections()["quiet"]
    if repaired := change_in_batches(connection, "coding_jobs: repair", update, pace, quiet=quiet):
        logger.info("Rows repaired", extra={"rows": repaired})


def _add_rules(connection: Connection, steps: dict[str, str], pace: Pace) -> None:
    """Add constraints for new rows first, with a short lock; then check the old rows, which needs no strong lock."""
    with_lock_retries(
        connection,
        "coding_jobs: rules",
        lambda: run(
            connection,
            f"""
        ALTER TABLE public.coding_jobs DROP CONSTRAINT IF EXISTS coding_jobs_complete_check;
        ALTER TABLE public.coding_jobs ADD CONSTRAINT coding_jobs_complete_check CHECK ({_IS_COMPLETE}) NOT VALID""",
        ),
    )
    _repair(connection, steps["repair"], pace)  # rows that were inserted meanwhile
    _validate(connection, "coding_jobs_complete_check")

    def add() -> None:
        connection.execute("SELECT set_config('mobvibe.validate', 'later', true)")
        run(connection, steps["rules"])
        run(connection, "ALTER TABLE public.coding_jobs DROP CONSTRAINT coding_jobs_complete_check")

    with_lock_retries(connection, "coding_jobs: rules", add)
    rows = connection.execute(
        "SELECT c.conname FROM pg_catalog.pg_constraint c"
        " WHERE c.conrelid = 'public.coding_jobs'::regclass AND c.contype = 'c' AND NOT c.convalidated"
        " AND obj_description(c.oid, 'pg_constraint') LIKE 'mobvibe %%'"
    ).fetchall()
    for row in rows:
        _validate(connection, row["conname"])


def _validate(connection: Connection, constraint: str) -> None:
    text = f'ALTER TABLE public.coding_jobs VALIDATE CONSTRAINT "{constraint}"'
    with_lock_retries(connection, f"coding_jobs: {constraint}", lambda: run(connection, text))


def _number(connection: Connection, set_default: str, pace: Pace) -> None:
    """Number the waiting rows in the order of age. From the start, new rows get numbers after those."""

    def begin() -> int:
        waiting = int(value(connection, _COUNT_WAITING))  # before the strong lock, because it reads them all
        run(connection, set_default)
        last = int(
            value(connection, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.coding_jobs_seq")
        )
        last_kept = last + waiting + _MORE_MEANWHILE
        run(connection, "SELECT setval('public.coding_jobs_seq', %(last_kept)s)", {"last_kept": last_kept})
        return last

    place = with_lock_retries(connection, "coding_jobs: order", begin)
    quiet = sections()["quiet"]
    while numbered := with_lock_retries(
        connection,
        "coding_jobs: order",
        partial(change, connection, _NUMBER, {"place": place, "size": pace.rows}, quiet=quiet),
    ):
        place += numbered
        pace.rest()
