"""Jobs of pg_cron that set jobs in processing back to pending, as the Node worker's manual does with stuck ones.

Under the bridge that takes running jobs away: they run twice. A bridge finds stuck jobs by leases.
"""

from dataclasses import dataclass

from bridge.postgres.connection import Connection

# Not by to_regclass(): it fails where this role may not use the schema.
_IS_READABLE = (
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = 'cron' AND c.relname = 'job' AND has_schema_privilege(n.oid, 'USAGE')"
    " AND has_table_privilege(c.oid, 'SELECT')) AS it"
)
_FIND = r"""
    SELECT j.jobid AS number, j.schedule, left(btrim(regexp_replace(j.command, '\s+', ' ', 'g')), 80) AS command
    FROM cron.job j
    WHERE j.active AND j.database = current_database() AND j.command ~* '\mcoding_jobs\M.*\mpending\M.*\mprocessing\M'
    ORDER BY j.jobid"""


@dataclass(frozen=True, slots=True)
class Reset:
    """A job of pg_cron: its number there, its schedule, the beginning of its command."""

    number: int
    schedule: str
    command: str

    @property
    def remedy(self) -> str:
        return f"SELECT cron.unschedule({self.number}); bridges find stuck jobs themselves"


def find_resets(connection: Connection) -> list[Reset]:
    """Only reads; nothing where there is no pg_cron, or this role may not read its jobs."""
    row = connection.execute(_IS_READABLE).fetchone()
    if row is None or not row["it"]:
        return []
    return [Reset(**row) for row in connection.execute(_FIND).fetchall()]
