"""Requests with an Idempotency-Key: one that is sent again gets the answer of the first, and adds nothing."""

import json
import logging
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from bridge.postgres.connection import Connection
from bridge.postgres.pool import Pool
from bridge.web.start_request import RequestError

logger = logging.getLogger(__name__)

Data = dict[str, Any]


class Keyed(NamedTuple):
    """Whose request it is, its key, if it has one, and the hash of what it asks for."""

    user: UUID
    key: str | None
    hash: bytes


class Given(NamedTuple):
    """What the request is answered with. `is_new` False: that is the answer of an earlier one."""

    data: Data
    is_new: bool


def answer_once(pool: Pool, asked: Keyed, make: Callable[[Connection], Data]) -> Given:
    """Answer with what `make` returns, in one transaction with the request's key: all or none.

    The user's other requests that come here wait until it has ended: they could have the same key. Raises RequestError
    for a key that was used for another request; what `make` raises keeps no key.
    """
    with pool.connection() as connection, connection.transaction():
        pool.on(connection, "hold_user", {"user": asked.user})
        if (known := _answer_before(pool, connection, asked)) is not None:
            logger.info("Request answered as before", extra={"sessionId": known["sessionId"]})
            return Given(known, is_new=False)
        data = make(connection)
        if asked.key is not None:
            kept = {**asked._asdict(), "answer": json.dumps(data)}
            pool.on(connection, "keep_idempotency_key", kept)
    return Given(data, is_new=True)


def _answer_before(pool: Pool, connection: Connection, asked: Keyed) -> Data | None:
    """The answer to the request that had this key; None: there was none. Raises RequestError for another request."""
    if asked.key is None:
        return None
    rows = pool.on(connection, "find_idempotency_key", {"user": asked.user, "key": asked.key})
    if rows and bytes(rows[0]["request_hash"]) != asked.hash:
        raise RequestError("This Idempotency-Key was used for another request: take a new key for each", 422)
    return rows[0]["answer"] if rows else None
