"""Finished jobs, as many as a busy year leaves behind."""

import psycopg

from bench.run import say
from bench.stores import PATIENCE

_BATCH = 100_000

# Inserted with triggers on, so that triggers that count jobs count these, too.
_INSERT = """
    WITH finished AS (
        INSERT INTO coding_jobs (actor, queue, payload, prompt, status, fence, exec, worker, claimed_by,
                                 created_at, claimed_at, started_at, completed_at, updated_at)
        SELECT 'noop', 'bench', jsonb_build_object('key', -n),
               CASE WHEN %(prompts)s THEN 'Make page ' || n || ' of the shop blue, as the customer asked' END,
               'completed', 1, gen_random_uuid(), %(worker)s, 'bridge',
               at.ended, at.ended, at.ended, at.ended, at.ended
        FROM generate_series(%(first)s::integer, %(last)s::integer) AS n
        CROSS JOIN LATERAL (SELECT now() - interval '1 day' - n * interval '100 milliseconds') AS at (ended)
        RETURNING id, fence, exec, worker, claimed_at, started_at, completed_at
    )
    INSERT INTO job_attempts (job_id, fence, exec, worker, claimed_at, started_at, finished_at, outcome)
    SELECT id, fence, exec, worker, claimed_at, started_at, completed_at, 'completed' FROM finished"""


def add_finished_jobs(database_url: str, rows: int, *, prompts: bool = False) -> None:
    """Insert completed jobs with their ledger rows, then vacuum and checkpoint as the server would have done since.

    `prompts`: each has one, of ten words.
    """
    worker = "00000000-0000-4000-8000-000000000001"
    with psycopg.connect(database_url, autocommit=True, options=PATIENCE) as connection:
        connection.execute("SET mobvibe.notify = 'off'")
        for first in range(1, rows + 1, _BATCH):
            last = min(first + _BATCH - 1, rows)
            connection.execute(_INSERT, {"worker": worker, "first": first, "last": last, "prompts": prompts})
            if last % 500_000 == 0:
                say(f"  {last:,} finished jobs")
        connection.execute("VACUUM (ANALYZE) coding_jobs, job_attempts")
        connection.execute("CHECKPOINT")
