"""The commands `workers …`: show the worker processes, drain and resume one."""

from uuid import UUID

import click

from bridge.cli.arguments import TEXT, open_link, operator
from bridge.cli.output import echo_rows, json_option
from bridge.errors import BridgeError

_LISTED = ("id", "name", "live", "draining", "drain_requested_at", "busy", "slots", "queues", "version", "heartbeat_at",
           "stop_reason")  # fmt: skip
_worker = click.argument("worker", type=click.UUID)
_reason_option = click.option("--reason", type=TEXT, help="Kept in the audit trail.")


class NoSuchWorkerError(BridgeError):
    """No worker process is registered with this id now."""


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def workers(context: click.Context, *, as_json: bool) -> None:
    """Show the worker processes, live ones first. Drain and resume one."""
    if context.invoked_subcommand is None:
        rows = [{name: row[name] for name in _LISTED} for row in open_link().call("list_workers")]
        echo_rows(rows, as_json=as_json, empty="No worker has registered yet. Start one: mobvibe worker")


@workers.command("drain")
@_worker
@_reason_option
def drain(worker: UUID, reason: str | None) -> None:
    """Let a worker process take no more jobs, until it is resumed. It runs those that it has to their end."""
    _operate("drain_worker", worker, reason)
    click.echo(f"{worker} takes no more jobs from its next heartbeat on. Watch it: mobvibe workers")


@workers.command("resume")
@_worker
@_reason_option
def resume(worker: UUID, reason: str | None) -> None:
    """Let a drained worker process take jobs again."""
    _operate("resume_worker", worker, reason)
    click.echo(f"{worker} takes jobs from its next heartbeat on")


def _operate(statement: str, worker: UUID, reason: str | None) -> None:
    asked = {"worker": worker, "by": operator(), "reason": reason}
    if open_link().call(statement, asked)[0]["draining"] is None:
        raise NoSuchWorkerError(f"No worker {worker} is registered now: mobvibe workers shows them")
