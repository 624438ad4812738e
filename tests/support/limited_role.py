"""A role with the needed rights, and a limit on its connections."""

from uuid import uuid4

import psycopg
from pydantic import SecretStr

from bridge.postgres.migrations.grants import grants
from bridge.settings import Settings
from tests.conftest import Servers
from tests.support.rows import Rows


class LimitedRole:
    """A role of its own with the rights of `mobvibe migrate grants`, and a limit on its connections."""

    def __init__(self, servers: Servers, dsn: str, rows: Rows) -> None:
        self.name = f"small_{uuid4().hex[:8]}"
        self._rows = rows
        rows.all(f"CREATE ROLE {self.name} LOGIN BYPASSRLS PASSWORD 'small'")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(grants(self.name).encode())
        head, _, tail = dsn.rpartition("@")
        self.dsn = f"postgresql://{self.name}:small@{tail}" if head else dsn.replace("//", f"//{self.name}:small@")

    def limit(self, connections: int) -> None:
        self._rows.all(f"ALTER ROLE {self.name} CONNECTION LIMIT {connections}")

    def drop(self) -> None:
        self._rows.all(f"DROP OWNED BY {self.name}; DROP ROLE {self.name}")


def as_limited_role(settings: Settings, role: LimitedRole) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr(role.dsn)})
