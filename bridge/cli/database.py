"""The commands `migrate …`: set up or upgrade the database."""

import json

import click

from bridge.errors import EXIT_REFUSED
from bridge.settings import load_settings


@click.group()
def migrate() -> None:
    """Set up or upgrade the database."""


@migrate.command("up")
def migrate_up_command() -> None:
    """Apply the migrations that are missing. Safe to run twice, and from several machines at once."""
    from bridge.postgres.migrations import migrate_up

    applied = migrate_up(load_settings().postgres_dsn())
    for name in applied:
        click.echo(name)
    click.echo(f"{len(applied)} applied" if applied else "Nothing to apply", err=True)


@migrate.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def migrate_status(*, as_json: bool) -> None:
    """Show which migrations are applied. Exit code 4 when some are missing."""
    from bridge.postgres.migrations import migration_states

    states = migration_states(load_settings().postgres_dsn())
    if as_json:
        click.echo(json.dumps([{"name": state.name, "applied": state.applied} for state in states]))
    else:
        for state in states:
            click.echo(f"{'applied' if state.applied else 'missing'}  {state.name}")
    if not all(state.applied for state in states):
        raise SystemExit(EXIT_REFUSED)


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
