"""The schema: what a migration would change, and `migrate up`, which does."""

from bridge.postgres.migrations.files import migrations
from bridge.postgres.migrations.locks import MigrationError
from bridge.postgres.migrations.plan import Conflict, find_changes, find_conflicts
from bridge.postgres.migrations.up import MigrationState, migrate_up, migration_states

__all__ = [
    "Conflict",
    "MigrationError",
    "MigrationState",
    "find_changes",
    "find_conflicts",
    "migrate_up",
    "migration_states",
    "migrations",
]
