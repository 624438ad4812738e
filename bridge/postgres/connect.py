"""Opens connections to Postgres, with the limits and formats that our statements rely on."""

import json
import re
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from bridge.errors import PostgresUnfitError, SettingsError
from bridge.postgres.connect_values import unusable
from bridge.postgres.connection import Connection
from bridge.postgres.errors import translate_postgres_errors

_decode = json.JSONDecoder().decode

# A link that died without an error is noticed after 5 + 3 * 2 s, or 10 s after data that was not acknowledged.
_CONNECT_DEFAULTS = {
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

# The same for the server, which otherwise keeps the session of a dead client, with its locks, for two hours. The server
# ignores these settings if the link is not TCP, or if its operating system does not have them.
_SERVER_DEFAULTS = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

# A host may have set these differently, for a role or a database. What we and the driver read and write relies on them;
# our functions must see what others commit meanwhile, and must be able to send notices; and links that are idle or wait
# must not be ended. default_transaction_read_only is not here: it is meant for us too. Other settings do not matter.
_SESSION = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "client_encoding": "UTF8",
    "client_min_messages": "warning",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "extra_float_digits": "1",
    "default_transaction_isolation": "read committed",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}

# Those among them without which values would be read or written wrongly; "ISO, DMY" is as good as "ISO".
_FORMATS = {name: _SESSION[name] for name in ("DateStyle", "IntervalStyle", "array_nulls")}

# Another client may hold a row lock for any time; the other rows must not wait behind it.
_LOCK_TIMEOUT_MS = 2_000
# Our statements take milliseconds: one that takes this long hangs. The time allows several waits for a lock, and is
# less than a third of the default lease.
STATEMENT_TIMEOUT_MS = 8_000
answered_at: dict[str, float] = {}  # address → when a link of this process got its last answer
_ANSWER_MARGIN_SECONDS = 1.5  # how much longer than its statement's timeout an answer may take


def connect_options(dsn: str, name: str) -> dict[str, Any]:
    """The arguments of connect(): autocommit, rows as dicts, and `mobvibe <name>` in pg_stat_activity.

    Raises SettingsError for an address that the driver cannot read, or has a value that it cannot use.
    """
    try:
        options: dict[str, Any] = {**_CONNECT_DEFAULTS, **conninfo_to_dict(dsn)}
    except psycopg.ProgrammingError as error:
        if option := re.match(r'invalid URI query parameter: "(\w{1,40})"', str(error)):
            raise SettingsError(
                f"DATABASE_URL has the option {option[1]!r}, which Postgres does not know: leave it out"
            ) from None
        example = "postgresql://user:password@host:5432/name"
        raise SettingsError(f"DATABASE_URL cannot be read; expected {example}") from None
    if problem := unusable(options):
        raise SettingsError(f"DATABASE_URL has an option that cannot be used: {problem}")
    return options | {"application_name": f"mobvibe {name}", "autocommit": True, "row_factory": dict_row}


def _from_json(data: str | bytes) -> Any:
    """As `json.loads`, which looks for the encoding of bytes for as long as it reads a short payload."""
    return _decode(data if isinstance(data, str) else str(data, "utf-8", "surrogatepass"))


def prepare(connection: Connection, statement_timeout_ms: int) -> None:
    """Limit statements, waits for locks and dead links, and set the formats in which we read values.

    Behind a pooler the process id of the server's session is not the one that the driver was given. Limits and prepared
    statements in such a session would affect other clients, so only the deadline for the answer is set there, and the
    settings stay as they are. Settings that the server is too old to know are left out.

    Raises PostgresUnfitError if such a session has a format that cannot serve.
    """
    set_json_loads(_from_json, connection)
    connection.answer_seconds = statement_timeout_ms / 1000 + _ANSWER_MARGIN_SECONDS
    limits = {
        "statement_timeout": str(statement_timeout_ms),
        "lock_timeout": str(min(statement_timeout_ms, _LOCK_TIMEOUT_MS)),
    }
    session = _SERVER_DEFAULTS | _SESSION | limits
    cursor = connection.execute(
        "SELECT set_config(s.name, s.value, false) FROM unnest(%s::text[], %s::text[]) AS s (name, value)"
        " WHERE pg_backend_pid() = %s AND current_setting(s.name, true) IS NOT NULL",
        [list(session), list(session.values()), connection.info.backend_pid],
    )
    connection.is_served = True
    if cursor.rowcount == 0:
        connection.is_pooled = True
        connection.prepare_threshold = None
        _check_formats(connection)


def _check_formats(connection: Connection) -> None:
    """Raise PostgresUnfitError if the role or database has set a format that we cannot read, or would write wrongly."""
    for row in connection.execute(
        "SELECT s.name, current_setting(s.name) AS value FROM unnest(%s::text[]) AS s (name)", [list(_FORMATS)]
    ):
        needed = _FORMATS[row["name"]]
        if row["value"].split(",")[0] != needed:
            raise PostgresUnfitError(
                f"behind a pooler {row['name']} stays as the role or the database has it, {row['value']!r}, and must "
                f"be {needed!r}: ALTER ROLE … SET {row['name']} = '{needed}', then reconnect the pooler"
            )


def connect(dsn: str, name: str, *, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS) -> Connection:
    """Open a connection.

    Raises PostgresUnavailableError, or NoConnectionFreeError if that is the reason; SettingsError for a bad address.
    """
    options = connect_options(dsn, name)
    with translate_postgres_errors():
        connection = _log_in(dsn, options)
        connection.dsn = dsn
        try:
            prepare(connection, statement_timeout_ms)
        except BaseException:
            connection.close()
            raise
    return connection


def _log_in(dsn: str, options: Mapping[str, Any]) -> Connection:
    began = time.monotonic()
    try:
        connection: Connection = Connection.connect(**options)
    except psycopg.errors.ConnectionTimeout as error:
        waited = f"no answer to the log-in for {options['connect_timeout']} s"
        if answered_at.get(dsn, 0.0) > began:
            raise psycopg.errors.TooManyConnections(f"{waited}, while other links of this process work") from error
        raise psycopg.errors.ConnectionTimeout(
            f"{waited}: the way there is cut, Postgres hangs, or a pooler has no connection free"
        ) from error
    return connection
