"""The commands `jobs …` and `status`."""

import difflib
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import click

from bridge.cli.arguments import TEXT, NoSuchJobError, open_link, payload_of
from bridge.cli.doctor import paused_queues, waiting_in_vain
from bridge.cli.operators import cancel, replay, retry
from bridge.cli.output import echo_field, echo_json, echo_rows, json_option
from bridge.errors import BridgeError
from bridge.job import Status
from bridge.logs.terminal import visible
from bridge.postgres.enqueue import ACTOR_MOST, enqueue
from bridge.postgres.job_filter import JobFilter, parse_filter
from bridge.postgres.job_list import SEARCHED
from bridge.postgres.job_list import list_jobs as postgres_list_jobs
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from bridge.postgres.queue_pauses import find_pauses

_STATUSES = click.Choice([status.value for status in Status])
_EVENTS_SHOWN = 50  # the newest ones: about a screen
_LISTED = ("id", "status", "actor", "queue", "priority", "retry_count", "max_retries", "created_at", "completed_at",
           "error_message")  # fmt: skip
_ERROR_MOST, _WHOLE = 1000, 2**31 - 1  # characters of an error: in a table a few lines, in JSON all (Postgres' largest)


class UnreadableJobError(BridgeError):
    """The job holds JSON that Postgres can store and Python cannot read."""


@click.group()
def jobs() -> None:
    """List, show, send, retry, cancel and replay jobs."""


@jobs.command("list")
@click.argument("job_filter", metavar="[FILTER]...", type=TEXT, nargs=-1)
@click.option("--status", type=_STATUSES, help="Only jobs with this status.")
@click.option("--actor", type=TEXT, help="Only jobs of this actor.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="List at most this many.")
@json_option
def list_jobs(job_filter: tuple[str, ...], status: str | None, actor: str | None, limit: int, *, as_json: bool) -> None:
    """List the latest jobs: the one that was made, claimed or ended last comes first.

    FILTER is what the jobs page searches for: status:failed queue:reports actor:build session:ID error:timeout older:2h
    attempt:2, and words of the prompt or the error.
    """
    meant = parse_filter(" ".join(job_filter))
    meant = replace(meant, status=Status(status) if status else meant.status, actor=actor or meant.actor)
    link = open_link()
    page = postgres_list_jobs(link.call, meant, limit=limit, error_most=_WHOLE if as_json else _ERROR_MOST)
    shown = [{name: row[name] for name in _LISTED} for row in page.jobs]
    echo_rows(shown, as_json=as_json, empty="No such jobs.")
    only_status = meant == JobFilter(status=meant.status) and meant.status != Status.COMPLETED
    if meant.text is not None and meant.session is None:
        if page.note is not None:
            click.echo(f"{page.note}.", err=True)
    elif len(page.jobs) < limit and not only_status and _has_older_ones(link):
        click.echo(f"Searched the latest {SEARCHED} of each kind. For older jobs use psql.", err=True)


def _has_older_ones(link: Link) -> bool:
    counts = link.call("queue_counts")
    finished = sum(row[kind] for row in counts for kind in ("completed", "failed", "cancelled"))
    return finished > SEARCHED or any(row["pending"] > SEARCHED for row in counts)


@jobs.command("show")
@click.argument("job_id", type=click.UUID)
@json_option
def show_job(job_id: UUID, *, as_json: bool) -> None:
    """Show one job with its attempts."""
    link = open_link()
    try:
        found = link.call("show_job", {"id": job_id})
        if not found:
            raise NoSuchJobError(f"There is no job {job_id}")
        attempts = link.call("show_attempts", {"id": job_id, "error_most": _WHOLE if as_json else _ERROR_MOST})
        session = found[0]["session_id"]
        events = link.call("get_session_events", {"session": session, "limit": _EVENTS_SHOWN})[::-1] if session else []
    except (ValueError, RecursionError) as error:
        raise UnreadableJobError(f"Job {job_id} holds JSON that cannot be read here: {error}. Use psql") from error
    if as_json:
        echo_json(found[0] | {"attempts": attempts, "events": events})
        return
    for name, value in found[0].items():
        if value is not None:
            echo_field(name, value)
    click.echo()
    echo_rows(attempts, as_json=False, empty="No attempt has ended yet.")
    for event in events:
        echo_field(f"{event['created_at']:%H:%M:%S} {event['event_type']}", event["data"])


@jobs.command("send")
@click.argument("prompt", type=TEXT, required=False)
@click.option("--actor", type=TEXT, default="run_coding_session", show_default=True, help="The actor that runs it.")
@click.option("--payload", type=TEXT, help="A JSON object.")
@click.option("--session", "session_id", type=click.UUID, help="The session it belongs to.")
@click.option(
    "--priority", type=click.IntRange(-(2**31), 2**31 - 1), default=0, show_default=True, help="Higher goes first."
)
@click.option("--run-at", type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]), help="Not before: 2030-01-31T08:00:00+0100")
@click.option("--max-retries", type=click.IntRange(0, 2**31 - 1), help="Attempts; by default what the actor says.")
def send_job(
    prompt: str | None,
    actor: str,
    payload: str | None,
    session_id: UUID | None,
    priority: int,
    run_at: datetime | None,
    max_retries: int | None,
) -> None:
    """Insert a job and print its id. For a prompt without a session, a coding session is created."""
    data = payload_of(payload) if payload else {}
    if not 0 < len(actor) <= ACTOR_MOST:
        raise click.BadParameter(f"must be a name of 1 to {ACTOR_MOST} characters", param_hint="--actor")
    link = open_link()
    with link.transaction() as connection:
        if session_id is None and prompt is not None and actor == "run_coding_session":
            session_id = link.call("create_session", {"user": None, "project": None, "prompt": prompt})[0]["id"]
        job_id = enqueue(
            connection,
            actor,
            data,
            session_id=session_id,
            prompt=prompt,
            priority=priority,
            run_at=run_at,
            max_retries=max_retries,
        )
    click.echo(job_id)
    if warning := _warning_if_paused(link, job_id) or _warning_if_not_run(link, actor, prompt):
        click.echo(f"mobvibe: {visible(warning)}", err=True)


def _warning_if_paused(link: Link, job_id: UUID) -> str | None:
    """A warning when the job's queue is paused. None otherwise."""
    pauses = find_pauses(link.call)
    found = link.call("show_job", {"id": job_id}) if pauses else []
    pause = pauses.get(found[0]["queue"]) if found else None
    return None if pause is None else f"it waits: its queue is {pause}. To go on: mobvibe queues resume {pause.queue}"


def _warning_if_not_run(link: Link, actor: str, prompt: str | None) -> str | None:
    """A warning when no live worker has the actor: none is started, or the name is mistyped. None otherwise."""
    live = [row for row in link.call("list_workers") if row["live"]]
    known = {name for row in live for name in row["actors"]}
    if actor in known:
        return None
    if not live:
        return "it waits: no worker is alive. Start one: mobvibe worker"
    meant = [prompt] if prompt in known else difflib.get_close_matches(actor, known, n=1)
    hint = f": did you mean --actor {meant[0]}?" if meant else f", which have {', '.join(sorted(known)) or 'none'}"
    return f"it waits: actor {actor!r} is not among those of the live workers{hint}"


for operation in (retry, cancel, replay):
    jobs.add_command(operation)


@click.command()
@json_option
def status(*, as_json: bool) -> None:
    """Show the number of jobs by status, and of live workers."""
    link = open_link()
    stats = JobQueue(link).get_queue_stats()
    workers = {name: int(value) for name, value in link.call("worker_counts")[0].items()}
    age = stats.oldest_pending_age
    figures = {
        "pending": stats.pending_count,
        "processing": stats.processing_count,
        "completed": stats.completed_count,
        "failed": stats.failed_count,
        "cancelled": sum(row["cancelled"] for row in link.call("queue_counts")),
        "oldestPendingSeconds": None if age is None else round(age.total_seconds(), 3),
        **workers,
    }
    if as_json:
        echo_json(figures | {"pausedQueues": sorted(find_pauses(link.call))})
    else:
        for name, value in figures.items():
            click.echo(f"{name:<22}{'-' if value is None else value}")
        for found, fix in [*paused_queues(link), *waiting_in_vain(link)]:
            click.echo(visible(f"{found}: {fix}"))
