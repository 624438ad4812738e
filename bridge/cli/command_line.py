"""The command line: data on standard output, messages on standard error, one line for each error."""

import sys
from importlib import import_module

import click

from bridge.errors import BridgeError, ReadOnlyError, StoreUnavailableError
from bridge.logs.terminal import visible

_HOME = {
    **dict.fromkeys(("up", "run", "worker", "web"), "services"),
    **dict.fromkeys(("jobs", "status"), "jobs"),
    "queues": "queues",
    "workers": "workers",
    "bulk": "bulk",
    "sessions": "sessions",
    **dict.fromkeys(("doctor", "config"), "checks"),
    "migrate": "database",
    "support-bundle": "support",
    "healthcheck": "probes",
}


class _Commands(click.Group):
    """Imports a command only when it is used: a probe runs every few seconds, and needs little of the other code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's name
        return sorted(_HOME)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 -- click's name
        command: click.Command | None = None
        if name in _HOME:
            command = getattr(import_module(f"bridge.cli.{_HOME[name]}"), name.replace("-", "_"))
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mobvibe-bridge", prog_name="mobvibe")
def cli() -> None:
    # Not a raw string: click needs the control character \b itself.
    """Background jobs from Postgres on Dramatiq's fleet.

    \b
    mobvibe up                          everything on this machine, stores included
    mobvibe migrate up                  set up or upgrade the database
    honcho start                        bridge, worker and web against DATABASE_URL and REDIS_URL
    mobvibe jobs send --actor NAME      insert a job
    mobvibe doctor                      find out what is wrong
    """  # noqa: D301


def main() -> int:
    """Run a command. Returns its exit code."""
    try:
        result = cli.main(standalone_mode=False)
    except StoreUnavailableError as error:
        helps = error.waiting_helps and not isinstance(error, ReadOnlyError)
        hint = ". Check its address, or run: mobvibe doctor" if helps else ""
        click.echo(f"mobvibe: {visible(str(error))}{hint}", err=True)
        return error.exit_code
    except BridgeError as error:
        click.echo(f"mobvibe: {visible(str(error))}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # `mobvibe jobs list | head`
        sys.stderr.close()
        return 0
    return result if isinstance(result, int) else 0
