"""Why a database takes no writes now, and what to do. We never override the setting: it is meant for us too."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_STANDBY = "the server is a standby"
_GO_TO_PRIMARY = "set DATABASE_URL to the primary, or let this server take over"
_SET = "default_transaction_read_only is on"
_TURN_OFF = "free the disk if a provider set it because that is full, then RESET it there"
_PLACES = {
    "database": "for the database",
    "user": "for the role",
    "database user": "for the role in this database",
    "client": "in DATABASE_URL or PGOPTIONS",
}


class ReadOnly(NamedTuple):
    why: str
    fix: str


def read_only(rows: Sequence[Mapping[str, Any]]) -> ReadOnly | None:
    """What the rows of the statement `read_only` mean; None if the database takes writes."""
    if not rows:
        return None
    if rows[0]["is_standby"]:
        return ReadOnly(_STANDBY, _GO_TO_PRIMARY)
    source = str(rows[0]["source"])
    return ReadOnly(f"{_SET}, set {_PLACES.get(source, f'by {source}')}", _TURN_OFF)
