"""The commands `migrate …`: set up or upgrade the database, or give it back."""

import json
from functools import partial

import click

from bridge.errors import EXIT_REFUSED
from bridge.settings import load_settings


@click.group()
def migrate() -> None:
    """Set up or upgrade the database: by OWNERS_DATABASE_URL where that is set, else by DATABASE_URL."""


@migrate.command("up")
@click.option("--grant-to", "role", help="Give this role, which exists, the rights that bridges of this version need.")
def migrate_up_command(*, role: str | None) -> None:
    """Apply the migrations that are missing. Safe to run twice, and from several machines at once."""
    from bridge.postgres.migrations import migrate_up

    applied = migrate_up(load_settings().owners_dsn(), grant_to=role)
    for name in applied:
        click.echo(name)
    click.echo(f"{len(applied)} applied" if applied else "Nothing to apply", err=True)


@migrate.command("down")
@click.option("--force", is_flag=True, help="Even if bridges are live, or jobs wait that the Node worker cannot run.")
@click.option("--drop", is_flag=True, help="Drop the bridge's tables and columns, too, with all that is in them.")
def migrate_down_command(*, force: bool, drop: bool) -> None:
    """Give the database back to the Node worker: its functions, triggers, policies, rights and index. Rows are kept.

    Tables and columns of the bridge stay, unless dropped. Safe to run twice; `migrate up` brings the bridge back.
    """
    from bridge.postgres.migrations import migrate_down

    done = migrate_down(load_settings().owners_dsn(), force=force, drop=drop)
    for name in done.steps:
        click.echo(name)
    for note in done.notes:
        click.echo(note, err=True)
    click.echo("The database is the Node worker's" if done.steps else "Nothing to restore", err=True)


@migrate.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def migrate_status(*, as_json: bool) -> None:
    """Show which migrations are applied. Exit code 4 when some are missing."""
    from bridge.postgres.migrations import migration_states

    states = migration_states(load_settings().owners_dsn())
    if as_json:
        click.echo(json.dumps([{"name": state.name, "applied": state.applied} for state in states]))
    else:
        for state in states:
            click.echo(f"{'applied' if state.applied else 'missing'}  {state.name}")
    if not all(state.applied for state in states):
        raise SystemExit(EXIT_REFUSED)


@migrate.command("wait")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0, 86_400),
    default=600.0,
    show_default=True,
    help="Seconds after which it gives up, with exit code 3 or 4.",
)
def migrate_wait(seconds: float) -> None:
    """Wait until the migrations of this version are applied. For containers that start beside `migrate up`."""
    from bridge.postgres.migrations import wait_for_schema

    wait_for_schema(load_settings().postgres_dsn(), seconds, partial(click.echo, err=True))


@migrate.command("sql")
def migrate_sql() -> None:
    """Print the migrations as SQL, for psql or `supabase db push`. Needs no database."""
    from bridge.postgres.migrations import migrations

    for migration in migrations():
        # Each as one transaction, as `migrate up` applies it: an error midway leaves no half of it behind.
        click.echo(f"-- {migration.name}\n\nBEGIN;\n")
        click.echo(migration.text)
        click.echo("COMMIT;\n")


@migrate.command("grants")
@click.argument("role")
def migrate_grants(role: str) -> None:
    """Print the GRANT statements for a separate role that the bridge connects as. Needs no database."""
    from bridge.postgres.migrations.grants import grants

    click.echo(grants(role))
