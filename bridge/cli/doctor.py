"""`mobvibe doctor`: checks everything that the bridge depends on, and names the fix. Changes nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version

from bridge.addresses import host_and_port
from bridge.cli.doctor_connections import examine_connections, none_free
from bridge.cli.doctor_listen import examine_listen
from bridge.cli.doctor_redis import examine_redis
from bridge.cli.finding import STATEMENT_TIMEOUT_MS, Finding
from bridge.errors import BridgeError, NoConnectionFreeError
from bridge.postgres.connect import connect
from bridge.postgres.connection import Connection
from bridge.postgres.errors import translate_postgres_errors
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from bridge.postgres.migrations import find_changes, find_conflicts, find_resets
from bridge.postgres.queue_pauses import find_pauses
from bridge.postgres.queue_rows import HELD_SECONDS
from bridge.postgres.read_only import read_only
from bridge.postgres.startup_checks import check_database
from bridge.settings import Settings, given_names, likely_typos

_STOCK_ACTOR = "run_coding_session"
_OLDEST_POSTGRES = 15  # the oldest version that the README promises to support
_CLOCK_SECONDS = 5.0  # more than the check itself takes; clocks set by NTP differ by far less


def examine(settings: Settings) -> list[Finding]:
    """All findings: settings, Postgres, Redis. A check is left out when an earlier one failed that it depends on."""
    findings = list(_settings(settings))
    postgres = list(_postgres(settings))
    redis = list(examine_redis(settings))
    return findings + postgres + redis


def preview_migration(settings: Settings) -> list[Finding]:
    """What `mobvibe migrate up` would change in this database, and what would stop it. Changes nothing."""
    with connect(settings.postgres_dsn(), "doctor") as connection, translate_postgres_errors():
        conflicts = [Finding("in the way", "fail", one.what, one.fix) for one in find_conflicts(connection)]
        resets = list(_resets(connection))
        changes = [Finding("change", "ok", change) for change in find_changes(connection)]
    return [*conflicts, *resets, *changes] or [Finding("schema", "ok", "up to date: nothing would change")]


def _settings(settings: Settings) -> Iterator[Finding]:
    for given, meant in likely_typos(given_names()):
        yield Finding("settings", "warn", f"{given} is not a setting", f"did you mean {meant}?")
    for name, value in (("DATABASE_URL", settings.postgres_dsn), ("REDIS_URL", settings.redis_address)):
        try:
            value()
        except BridgeError as error:
            yield Finding("settings", "fail", str(error), f"set {name}, or start both stores with: mobvibe up")
    if settings.is_production and settings.supabase_jwt_secret is None and settings.jwks_url is None:
        yield Finding("settings", "warn", "SUPABASE_JWT_SECRET is not set", "without it the sessions API answers 503")
    if settings.log_level in ("trace", "debug") and settings.is_production:
        yield Finding("settings", "warn", f"LOG_LEVEL is {settings.log_level} in production", "set LOG_LEVEL=info")


def _postgres(settings: Settings) -> Iterator[Finding]:
    try:
        dsn = settings.postgres_dsn()
    except BridgeError:
        return
    link = Link(dsn, "doctor", statement_timeout_ms=STATEMENT_TIMEOUT_MS)
    try:
        yield from _database(dsn, link, settings)
    except NoConnectionFreeError as error:
        yield none_free(error)
    finally:
        link.close()


def _database(dsn: str, link: Link, settings: Settings) -> Iterator[Finding]:
    try:
        row = link.call("server_facts")[0]
    except NoConnectionFreeError:
        raise
    except BridgeError as error:
        where = host_and_port(dsn, 5432)
        yield Finding("postgres", "fail", f"{where}: {error}", "check DATABASE_URL, the server and the way to it")
        return
    major = int(row["version_num"]) // 10000
    if major < _OLDEST_POSTGRES:
        yield Finding("postgres", "fail", f"Postgres {major}", f"use {_OLDEST_POSTGRES} or later")
    else:
        yield Finding("postgres", "ok", f"Postgres {major} at {host_and_port(dsn, 5432)}")
    if found := read_only(link.call("read_only")):
        yield Finding("postgres", "fail", f"read-only: {found.why}", found.fix)
        return
    yield from _encoding(link.connection.info.parameter_status("server_encoding"))
    yield _clock(row["now"])
    yield examine_connections(link, settings)
    try:
        check_database(dsn, tries=1)
    except NoConnectionFreeError:
        raise
    except BridgeError as error:
        yield Finding("schema", "fail", str(error), "mobvibe migrate up, with the role that owns the tables")
        return
    yield Finding("schema", "ok", "up to date, and the role may use it")
    yield from _open_rights(link)
    yield from _resets(link.connection)
    yield from examine_listen(dsn, settings.session_dsn())
    yield from _workers(link)
    yield from _stuck(link)
    yield from _vacuum(link)


def _encoding(name: str | None) -> Iterator[Finding]:
    if name != "UTF8":
        fix = "a text that it cannot hold fails its job: move to a database made with ENCODING 'UTF8'"
        yield Finding("postgres", "warn", f"the database's encoding is {name}", fix)


def _clock(database_time: datetime) -> Finding:
    apart = abs((datetime.now(UTC) - database_time).total_seconds())
    if apart > _CLOCK_SECONDS:
        found = f"this machine and Postgres differ by {apart:.0f} s"
        return Finding("clocks", "warn", found, "leases use the database's clock alone, but logs will mislead: run NTP")
    return Finding("clocks", "ok", f"within {max(apart, 0.1):.1f} s of Postgres")


def _resets(connection: Connection) -> Iterator[Finding]:
    for reset in find_resets(connection):
        found = f"pg_cron job {reset.number} ({reset.schedule}) takes running jobs away: {reset.command}"
        yield Finding("stuck jobs", "warn", found, reset.remedy)


def _open_rights(link: Link) -> Iterator[Finding]:
    rows = link.call("open_rights")
    for row in rows:
        fix = "as the owner: SELECT mobvibe_close_rights(); for a trigger: mobvibe migrate sql | psql"
        yield Finding("rights", "fail", str(row["found"]), fix)
    if not rows:
        yield Finding("rights", "ok", "closed to roles that act for a user")


def paused_queues(link: Link) -> Iterator[tuple[str, str]]:
    """Queues that are paused: pairs of what was found and what to do."""
    pending = {row["queue"]: row["pending"] for row in link.call("queue_counts")}
    for queue, pause in find_pauses(link.call).items():
        yield f"{pending.get(queue, 0)} wait in queue {queue!r}, {pause}", f"mobvibe queues resume {queue}"


def waiting_in_vain(link: Link) -> Iterator[tuple[str, str]]:
    """Jobs that no live worker can take, in queues that are not paused: pairs of what was found and what to do."""
    paused = find_pauses(link.call)
    for row in [row for row in link.call("waiting_in_vain") if row["queue"] not in paused]:
        fix = "start a worker whose actors package has it, or cancel them: mobvibe jobs cancel"
        if row["actor"] == _STOCK_ACTOR:
            fix = (
                "the one that comes with the bridge is for development and does not work in production: "
                "declare an actor of that name in a package of your own (ACTORS_MODULE) and start a worker"
            )
        yield (
            f"{row['jobs']} wait for actor {row['actor']!r} in queue {row['queue']!r}, where no live worker runs it",
            fix,
        )


def _workers(link: Link) -> Iterator[Finding]:
    workers = link.call("list_workers")
    live = [row for row in workers if row["live"]]
    if not live:
        yield Finding("workers", "fail", "none is alive: jobs wait", "start one: mobvibe worker")
        return
    slots = sum(int(row["slots"]) for row in live)
    queues = sorted({queue for row in live for queue in row["queues"]})
    yield Finding("workers", "ok", f"{len(live)} alive, {slots} slots, queues {', '.join(queues)}")
    for other in sorted({str(row["version"]) for row in live} - {version("mobvibe-bridge")}):
        found = f"some run version {other}, this is {version('mobvibe-bridge')}"
        yield Finding("workers", "warn", found, "finish the roll-out")


def _stuck(link: Link) -> Iterator[Finding]:
    for found, fix in [*paused_queues(link), *waiting_in_vain(link)]:
        yield Finding("jobs", "warn", found, fix)


def _vacuum(link: Link) -> Iterator[Finding]:
    holder = JobQueue(link).vacuum_holder(HELD_SECONDS)
    if holder is not None:
        since = f"for {holder.seconds:.0f} s" if holder.seconds else "for a long time"
        yield Finding(
            "vacuum",
            "warn",
            f"the {holder.kind} {holder.name} has held it back {since}: dead rows pile up",
            "end that transaction, or drop the slot; set idle_in_transaction_session_timeout",
        )
