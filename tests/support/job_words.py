"""Jobs that have ended, their words in the index, and what a list finds by it."""

from typing import Any
from uuid import UUID

from bridge.postgres.job_filter import parse_filter
from bridge.postgres.job_list import Page, list_jobs, parse_place
from bridge.postgres.link import Link
from tests.support.rows import Rows


def add(rows: Rows, prompt: str | None = None, *, minutes: float = 9, **columns: Any) -> UUID:
    """A job that ended so many minutes ago, or was inserted then."""
    job_id = rows.add_job(**{"status": "completed", "prompt": prompt} | columns)
    rows.all(
        "UPDATE coding_jobs SET created_at = t.at - (status <> 'pending')::int * interval '1 s',"
        " completed_at = CASE WHEN status <> 'pending' THEN t.at END"
        " FROM (SELECT now() - %s * interval '1 minute' AS at) t WHERE id = %s",
        [minutes, job_id],
    )
    return job_id


def index(link: Link, *, limit: int = 1000, looked_at: int = 1000) -> int:
    """Index all that can be. Returns how many jobs that were."""
    total = 0
    while True:
        (row,) = link.call("index_jobs", {"limit": limit, "looked_at": looked_at})
        total += int(row["indexed"])
        if not row["more"]:
            return total


def page(link: Link, written: str, *, limit: int = 20, searched: int = 0, after: str | None = None) -> Page:
    """What the index alone finds, if `searched` is 0."""
    place = parse_place(after) if after else None
    return list_jobs(link.call, parse_filter(written), limit=limit, error_most=99, after=place, searched=searched)


def found(link: Link, written: str, **options: Any) -> list[UUID]:
    return [row["id"] for row in page(link, written, **options).jobs]


def counted(link: Link, rows: Rows, asked: str) -> dict[str, int]:
    """What Postgres has counted of the reads of both sessions, up to now."""
    for execute in (link.connection.execute, rows.all):
        execute("SELECT pg_stat_force_next_flush()")
        execute("SELECT 1")
    return rows.one(asked)
