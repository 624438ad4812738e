"""The commands `bulk …`: watch and stop what `jobs retry|cancel|replay --matching` started."""

from typing import Any

import click

from bridge.cli.arguments import open_link, operator
from bridge.cli.output import echo_field, echo_json, echo_rows, json_option
from bridge.errors import BridgeError
from bridge.postgres import bulk as operations

_LISTED = ("id", "action", "filter", "state", "done", "skipped", "total", "made_by", "started_at", "finished_at")
_operation = click.argument("operation", type=click.IntRange(0, 2**63 - 1))  # a bigint of Postgres


class NoSuchOperationError(BridgeError):
    """No bulk operation has this number."""


@click.group()
def bulk() -> None:
    """Watch and stop operations on all jobs that a filter means."""


@bulk.command("list")
@json_option
def list_operations(*, as_json: bool) -> None:
    """List the operations that were started last, the newest first."""
    rows = operations.latest(open_link().call)
    shown = [{name: row[name] for name in _LISTED} for row in rows]
    echo_rows(shown, as_json=as_json, empty="No bulk operation was started yet.")


@bulk.command("show")
@_operation
@json_option
def show(operation: int, *, as_json: bool) -> None:
    """Show one operation: how many jobs it has acted on, of how many."""
    found = _known(operation, operations.show(open_link().call, operation))
    if as_json:
        echo_json(found)
        return
    for name, value in found.items():
        if value is not None:
            echo_field(name, value)


@bulk.command("stop")
@_operation
def stop(operation: int) -> None:
    """Begin no further batch. What was done stays done."""
    click.echo(_known(operation, operations.stop(open_link().call, operation, by=operator())))


def _known(operation: int, found: Any) -> Any:
    if found is None:
        raise NoSuchOperationError(f"There is no bulk operation {operation}")
    return found
