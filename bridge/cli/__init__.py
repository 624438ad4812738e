"""The command line: data on standard output, talk on standard error, one line for each mistake."""

import sys
from importlib.metadata import version

import click

from bridge.cli.checks import config, doctor, healthcheck
from bridge.cli.database import migrate
from bridge.cli.jobs import jobs, queues, status
from bridge.cli.services import run, up, web, worker
from bridge.errors import BridgeError, StoreUnavailableError
from bridge.terminal import visible


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("mobvibe-bridge"), prog_name="mobvibe")
def cli() -> None:
    # No raw string: click wants the control character itself.
    """Background jobs from Postgres on Dramatiq's fleet.

    \b
    mobvibe up                          everything on this machine, stores included
    mobvibe migrate up                  set up or upgrade the database
    honcho start                        bridge, worker and web against DATABASE_URL and REDIS_URL
    mobvibe jobs send --actor NAME      insert a job
    mobvibe doctor                      find out what is wrong
    """  # noqa: D301


for command in (up, run, worker, web, migrate, jobs, queues, status, doctor, healthcheck, config):
    cli.add_command(command)


def main() -> int:
    """Run a command; its exit code."""
    try:
        result = cli.main(standalone_mode=False)
    except StoreUnavailableError as error:
        hint = ". Check its address, or run: mobvibe doctor" if error.waiting_helps else ""
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
