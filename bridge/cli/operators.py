"""What operators do to jobs: the commands `jobs retry`, `jobs cancel` and `jobs replay`."""

from uuid import UUID

import click

from bridge.cli.arguments import TEXT, NoSuchJobError, open_link, operator, payload_of
from bridge.job import Status
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.json_text import to_json

_reason_option = click.option("--reason", type=TEXT, help="Kept in the audit trail.")


@click.command("retry")
@click.argument("job_ids", type=click.UUID, nargs=-1, required=True)
@_reason_option
def retry(job_ids: tuple[UUID, ...], reason: str | None) -> None:
    """Run finished jobs again with all their retries, or waiting ones now."""
    _operate("retry_job", job_ids, reason, {Status.PENDING: "will run", Status.PROCESSING: "is running, left alone"})


@click.command("cancel")
@click.argument("job_ids", type=click.UUID, nargs=-1, required=True)
@_reason_option
def cancel(job_ids: tuple[UUID, ...], reason: str | None) -> None:
    """Cancel jobs: pending ones at once, running ones with their worker's next heartbeat."""
    texts = {Status.CANCELLED: "is cancelled", Status.PROCESSING: "will be stopped"}
    _operate("cancel_job", job_ids, reason, texts)


@click.command("replay")
@click.argument("job_id", type=click.UUID)
@click.option("--payload", type=TEXT, help="A JSON object instead of the old payload.")
@click.option("--prompt", type=TEXT, help="A text instead of the old prompt.")
@_reason_option
def replay(job_id: UUID, payload: str | None, prompt: str | None, reason: str | None) -> None:
    """Run a copy of a job, with another payload or prompt if given. Prints the id of the copy."""
    changed = None if payload is None else to_json(payload_of(payload), "payload")
    asked = {"id": job_id, "payload": changed, "prompt": prompt, "by": operator(), "reason": reason, "copy": None}
    copy = open_link().call("replay_job", asked)[0]["copy"]
    if copy is None:
        raise NoSuchJobError(f"There is no job {job_id}")
    click.echo(copy)


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
