"""What operators do to jobs: the commands `jobs retry`, `jobs cancel` and `jobs replay`."""

import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

import click

from bridge.cli.arguments import TEXT, NoSuchJobError, open_link, operator, payload_of
from bridge.job import Status
from bridge.postgres import bulk
from bridge.postgres.job_filter import parse_filter
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.json_text import to_json

_reason_option = click.option("--reason", type=TEXT, help="Kept in the audit trail.")


def _bulk_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options to act on all jobs that a filter means."""
    for option in (
        click.option("--yes", is_flag=True, help="With --matching: do not ask."),
        click.option(
            "--rate", type=click.IntRange(1, bulk.RATE_MOST), help="With --matching: at most so many jobs a second."
        ),
        click.option("--matching", metavar="FILTER", type=TEXT, help="All jobs that this filter of `jobs list` means."),
    ):
        command = option(command)
    return command


@click.command("retry")
@click.argument("job_ids", type=click.UUID, nargs=-1)
@_bulk_options
@_reason_option
def retry(job_ids: tuple[UUID, ...], reason: str | None, **bulk_options: Any) -> None:
    """Run finished jobs again with all their retries, or waiting ones now.

    With --matching: failed and cancelled ones, or those with the status that FILTER names.
    """
    if not _is_bulk(bulk.Action.RETRY, job_ids, reason, **bulk_options):
        texts = {Status.PENDING: "will run", Status.PROCESSING: "is running, left alone"}
        _operate("retry_job", job_ids, reason, texts)


@click.command("cancel")
@click.argument("job_ids", type=click.UUID, nargs=-1)
@_bulk_options
@_reason_option
def cancel(job_ids: tuple[UUID, ...], reason: str | None, **bulk_options: Any) -> None:
    """Cancel jobs: pending ones at once, running ones with their worker's next heartbeat."""
    if not _is_bulk(bulk.Action.CANCEL, job_ids, reason, **bulk_options):
        texts = {Status.CANCELLED: "is cancelled", Status.PROCESSING: "will be stopped"}
        _operate("cancel_job", job_ids, reason, texts)


@click.command("replay")
@click.argument("job_id", type=click.UUID, required=False)
@click.option("--payload", type=TEXT, help="A JSON object instead of the old payload.")
@click.option("--prompt", type=TEXT, help="A text instead of the old prompt.")
@_bulk_options
@_reason_option
def replay(
    job_id: UUID | None, payload: str | None, prompt: str | None, reason: str | None, **bulk_options: Any
) -> None:
    """Run a copy of a job, with another payload or prompt if given. Prints the id of the copy.

    With --matching: copies of failed and cancelled ones, or of those with the status that FILTER names.
    """
    if bulk_options["matching"] is not None and (payload, prompt) != (None, None):
        raise click.UsageError("--payload and --prompt are for one job, not for --matching")
    if _is_bulk(bulk.Action.REPLAY, (job_id,) if job_id else (), reason, **bulk_options):
        return
    changed = None if payload is None else to_json(payload_of(payload), "payload")
    asked = {"id": job_id, "payload": changed, "prompt": prompt, "by": operator(), "reason": reason, "copy": None}
    copy = open_link().call("replay_job", asked)[0]["copy"]
    if copy is None:
        raise NoSuchJobError(f"There is no job {job_id}")
    click.echo(copy)


def _is_bulk(
    action: bulk.Action,
    job_ids: tuple[UUID, ...],
    reason: str | None,
    matching: str | None,
    rate: int | None,
    *,
    yes: bool,
) -> bool:
    """Whether the command means all jobs of a filter; then they are counted, and the operation is started."""
    if bool(job_ids) == (matching is not None):
        raise click.UsageError("Give ids of jobs, or --matching FILTER")
    if matching is None:
        return False
    call = open_link().call
    operation = bulk.plan(call, action, parse_filter(matching), by=operator())
    total = (bulk.show(call, operation) or {})["total"]
    what = "all jobs that match (they are too many to count)" if total is None else f"{total} jobs"
    if total == 0:
        click.echo("No job matches.", err=True)
    elif yes or _confirms(f"{action.value.capitalize()} {what}?"):
        bulk.start(call, operation, by=operator(), reason=reason, rate=rate)
        click.echo(operation)
        click.echo(f"{action.value.capitalize()} of {what}: mobvibe bulk show {operation}", err=True)
    return True


def _confirms(question: str) -> bool:
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise click.UsageError("Nobody answers: add --yes to do it without being asked") from None


def _operate(action: str, job_ids: tuple[UUID, ...], reason: str | None, texts: dict[Status, str]) -> None:
    queue = JobQueue(open_link())
    unknown = 0
    for job_id in job_ids:
        status = getattr(queue, action)(job_id, by=operator(), reason=reason)
        unknown += status is None
        what = "does not exist" if status is None else texts.get(status, f"is {status.value}, left alone")
        click.echo(f"{job_id} {what}")
    if unknown:
        raise SystemExit(1)
