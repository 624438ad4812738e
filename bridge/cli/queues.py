"""The commands `queues …`: show the queues, pause and resume them."""

from typing import Any

import click

from bridge.cli.arguments import TEXT, open_link, operator
from bridge.cli.output import echo_rows, json_option
from bridge.logs.terminal import visible
from bridge.postgres.link import Link
from bridge.postgres.queue_pauses import QueueNameError, find_pauses, pause_queue, resume_queue

_reason_option = click.option("--reason", type=TEXT, help="Kept in the audit trail.")


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def queues(context: click.Context, *, as_json: bool) -> None:
    """Show the number of open jobs of each queue, and which are paused. Pause and resume queues."""
    if context.invoked_subcommand is None:
        echo_rows(_open_or_paused(open_link()), as_json=as_json, empty="No open jobs.")


@queues.command("pause")
@click.argument("name", type=TEXT)
@_reason_option
def pause(name: str, reason: str | None) -> None:
    """Take no more jobs from a queue, until it is resumed. Those that are handed over or running go on."""
    link = open_link()
    try:
        held, is_new = pause_queue(link.call, name, by=operator(), reason=reason)
    except QueueNameError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    click.echo(f"{name} is paused: {_waiting(link, name)}" if is_new else visible(f"{name} is already {held}"))


@queues.command("resume")
@click.argument("name", type=TEXT)
@_reason_option
def resume(name: str, reason: str | None) -> None:
    """Take jobs from a paused queue again, at once."""
    link = open_link()
    try:
        ended = resume_queue(link.call, name, by=operator(), reason=reason)
    except QueueNameError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    click.echo(f"{name} is not paused" if ended is None else visible(f"{name} is resumed; it was {ended}"))


def _open_or_paused(link: Link) -> list[dict[str, Any]]:
    counts = {row["queue"]: row for row in link.call("queue_counts")}
    pauses = find_pauses(link.call)
    shown = {queue for queue, row in counts.items() if row["pending"] or row["processing"]} | pauses.keys()
    none = {"pending": 0, "processing": 0, "oldest_pending_seconds": None}
    return [
        {"queue": queue}
        | {name: counts.get(queue, none)[name] for name in none}
        | {
            "paused_at": pauses[queue].paused_at if queue in pauses else None,
            "paused_by": pauses[queue].paused_by if queue in pauses else None,
            "pause_reason": pauses[queue].reason if queue in pauses else None,
        }
        for queue in sorted(shown)
    ]


def _waiting(link: Link, queue: str) -> str:
    jobs = sum(row["pending"] for row in link.call("queue_counts") if row["queue"] == queue)
    return "1 job waits" if jobs == 1 else f"{jobs} jobs wait"
