"""Copies of messages that were in Redis, to be delivered again later."""

import json
import random
from collections import OrderedDict
from typing import Any
from uuid import UUID

import redis

from tests.campaign.world import NAMESPACE, QUEUE

_MOST = 3000
_LIST, _PAYLOADS = f"{NAMESPACE}:{QUEUE}", f"{NAMESPACE}:{QUEUE}.msgs"


class MessageCopies:
    def __init__(self) -> None:
        self._copies: OrderedDict[bytes, bytes] = OrderedDict()

    def collect(self, client: "redis.Redis") -> None:
        """Keep copies of the messages that are in Redis now."""
        seen: Any = client.hgetall(_PAYLOADS)
        for message_id, payload in seen.items():
            if is_real(payload):
                self._copies[message_id] = payload
        while len(self._copies) > _MOST:
            self._copies.popitem(last=False)

    def sample(self, dice: random.Random, most: int) -> list[tuple[bytes, bytes]]:
        return dice.sample(list(self._copies.items()), min(most, len(self._copies)))

    def waiting(self, client: "redis.Redis") -> list[tuple[UUID, int]]:
        """The hand-overs that no worker has taken: they are lost if Redis is."""
        ids: Any = client.lrange(_LIST, 0, -1)
        payloads: Any = client.hmget(_PAYLOADS, ids) if ids else []
        return [hand_over for payload in payloads if payload and is_real(payload) for hand_over in hand_overs(payload)]


def is_real(payload: bytes) -> bool:
    """Whether a bridge may have written it, and not a fault of the campaign."""
    try:
        message = json.loads(payload)
        return bool(
            message["queue_name"] == QUEUE and set(message["options"]) == {"redis_message_id"} and message["args"]
        )
    except (ValueError, KeyError, TypeError):
        return False


def hand_overs(payload: bytes) -> list[tuple[UUID, int]]:
    args = json.loads(payload)["args"]
    return [(UUID(job), fence) for job, fence in zip(args[::2], args[1::2], strict=True)]
