"""Collects the evidence, directly from Postgres and from the effect files."""

from collections.abc import Sequence
from typing import Any

from tests.campaign.effect_log import read_effects
from tests.campaign.evidence import Attempt, Evidence, Fault, Row, Sent
from tests.campaign.world import World
from tests.support.invariants import broken_invariants
from tests.support.rows import Rows

# A trigger records each change of a finished row, at the moment it happens.
WITNESS = """
CREATE TABLE IF NOT EXISTS public.campaign_afterthoughts (at timestamptz DEFAULT clock_timestamp(), note text);
CREATE OR REPLACE FUNCTION public.campaign_witness() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    INSERT INTO public.campaign_afterthoughts (note) VALUES (format(
        '%s: %s at fence %s became %s at fence %s', OLD.id, OLD.status, OLD.fence, NEW.status, NEW.fence));
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER campaign_witness AFTER UPDATE ON public.coding_jobs
    FOR EACH ROW WHEN (OLD.status IN ('completed', 'failed', 'cancelled')) EXECUTE FUNCTION public.campaign_witness();
"""

_ROWS = "SELECT id, status, fence, exec, result, error_message FROM coding_jobs"
_ATTEMPTS = """
SELECT a.job_id, a.fence, a.exec, split_part(w.name, ':', -1)::int,
       extract(epoch FROM a.claimed_at)::float8, extract(epoch FROM a.started_at)::float8,
       extract(epoch FROM a.finished_at)::float8, a.outcome, a.error
FROM job_attempts a LEFT JOIN workers w ON w.id = a.worker
"""

# The events that actors emit in a session, once for each attempt, before it ends.
_EVENTS = {
    "an event is stored once": """
        SELECT data ->> 'job', data ->> 'fence' FROM session_events GROUP BY 1, 2 HAVING count(*) > 1""",
    "what a completed attempt said is there": """
        SELECT a.job_id, a.fence FROM job_attempts a JOIN coding_jobs j ON j.id = a.job_id AND j.session_id IS NOT NULL
        LEFT JOIN session_events e ON e.data ->> 'job' = a.job_id::text AND e.data ->> 'fence' = a.fence::text
        WHERE a.outcome = 'completed' AND e.id IS NULL""",
    "an attempt says nothing once a later one has spoken": """
        SELECT * FROM (SELECT data ->> 'job' AS job, (data ->> 'fence')::bigint AS fence,
                              lag((data ->> 'fence')::bigint) OVER (PARTITION BY data ->> 'job' ORDER BY seq) AS before
                       FROM session_events) e
        WHERE e.before > e.fence""",
}
_LOST = "SELECT DISTINCT split_part(name, ':', -1)::int FROM workers WHERE stop_reason = 'lost'"


def set_witness(world: World) -> None:
    with world.connect() as connection:
        connection.execute(WITNESS)


def collect(world: World, sent: Sequence[Sent], faults: Sequence[Fault]) -> Evidence:
    with world.connect() as connection:
        return Evidence(
            sent=sent,
            rows={row[0]: Row(*row) for row in _all(connection, _ROWS)},
            attempts=[Attempt(*row) for row in _all(connection, _ATTEMPTS)],
            effects=list(read_effects(world.effects)),
            faults=faults,
            lost_pids=[pid for (pid,) in _all(connection, _LOST)],
            afterthoughts=[note for (note,) in _all(connection, "SELECT note FROM campaign_afterthoughts ORDER BY at")],
            broken_invariants=broken_invariants(Rows(connection))
            | {name: found for name, query in _EVENTS.items() if (found := _all(connection, query))},
        )


def _all(connection: Any, query: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    return rows
