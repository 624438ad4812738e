"""The schema: what a migration would change, `migrate up`, which does, and `migrate down`, which undoes it."""

from bridge.postgres.migrations.down import WayBack, migrate_down
from bridge.postgres.migrations.files import migrations
from bridge.postgres.migrations.locks import MigrationError
from bridge.postgres.migrations.plan import Conflict, find_changes, find_conflicts
from bridge.postgres.migrations.resets import find_resets
from bridge.postgres.migrations.up import MigrationState, migrate_up, migration_states
from bridge.postgres.migrations.wait import wait_for_schema

__all__ = [
    "Conflict",
    "MigrationError",
    "MigrationState",
    "WayBack",
    "find_changes",
    "find_conflicts",
    "find_resets",
    "migrate_down",
    "migrate_up",
    "migration_states",
    "migrations",
    "wait_for_schema",
]
