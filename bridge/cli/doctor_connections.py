"""The doctor's check of connections to Postgres: how many are needed, open and free."""

from bridge.cli.finding import Finding
from bridge.errors import NoConnectionFreeError
from bridge.postgres import connection_budget as budget
from bridge.postgres.connection_budget import ConnectionLimit, nearest_limit
from bridge.postgres.link import Link
from bridge.settings import Settings

_FIX = "raise the limit, or let the processes open fewer: docs/reference/connections.md"


def examine_connections(link: Link, settings: Settings) -> Finding:
    """Compare what a bridge, `mobvibe worker` and a web process with these settings need with what is free."""
    workers = min(settings.worker_processes, settings.max_concurrent_jobs)
    need = budget.BRIDGE + workers * budget.WORKER_PROCESS + budget.of_web(settings)
    whose = f"a bridge, {workers} worker process{'es' * (workers > 1)} and a web process need up to {need}"
    limit = nearest_limit(link)
    if limit is None:
        return Finding("connections", "ok", f"{whose}; behind a pooler: make sure that its pool has as many")
    return _compare(whose, need, limit)


def _compare(whose: str, need: int, limit: ConnectionLimit) -> Finding:
    found = f"{whose}; {limit.ours} are open, {limit.free} free ({limit.name}: {limit.most})"
    if need - limit.ours > limit.free:
        return Finding("connections", "warn", found, _FIX)
    return Finding("connections", "ok", found)


def none_free(error: NoConnectionFreeError) -> Finding:
    return Finding("connections", "fail", str(error), _FIX)
