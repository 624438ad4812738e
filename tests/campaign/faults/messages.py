"""Faults of the messages: delivered again, delivered late, forged."""

import json
from contextlib import suppress
from typing import Any
from uuid import uuid4

import redis

from tests.campaign.evidence import Fault
from tests.campaign.faults.injection import Injection
from tests.campaign.world import NAMESPACE, QUEUE

_LIST, _PAYLOADS, _WAKE = f"{NAMESPACE}:{QUEUE}", f"{NAMESPACE}:{QUEUE}.msgs", f"{NAMESPACE}:__wake__"
_MOST = 20


class DoubleDelivery(Injection):
    """Ids that are in Redis are pushed again, a few times each, in another order."""

    label, weight, lane = "messages delivered twice", 6, "redis"

    def inject(self) -> Fault | None:
        with suppress(redis.RedisError), self.world.redis() as client:
            ids: list[Any] = client.hkeys(_PAYLOADS)
            again = self.dice.sample(ids, min(len(ids), _MOST)) * self.dice.randint(1, 4)
            if not again:
                return None
            fault = self.fault()
            client.rpush(_LIST, *again)
            client.publish(_WAKE, QUEUE)
            return fault
        return None


class LateDelivery(Injection):
    """Messages of earlier, most of them finished long ago, are pushed again with their payloads."""

    label, weight, lane = "messages delivered late", 5, "redis"

    def inject(self) -> Fault | None:
        with suppress(redis.RedisError), self.world.redis() as client:
            old = self.message_copies.sample(self.dice, _MOST)
            if not old:
                return None
            fault = self.fault()
            client.hset(_PAYLOADS, mapping=dict(old))
            client.rpush(_LIST, *(message_id for message_id, _ in old))
            client.publish(_WAKE, QUEUE)
            return fault
        return None


class ForgedMessages(Injection):
    """Messages that anybody with access to Redis could write: real jobs with other fences or actors, and garbage."""

    label, weight, lane = "forged messages", 4, "redis"

    def inject(self) -> Fault | None:
        with suppress(redis.RedisError), self.world.redis() as client:
            forged: dict[str | bytes, Any] = {}
            for message_id, payload in self.message_copies.sample(self.dice, _MOST):
                name, body = self._forge(message_id, payload)
                forged[name] = body
            if not forged:
                return None
            fault = self.fault()
            client.hset(_PAYLOADS, mapping=forged)
            client.rpush(_LIST, *forged)
            client.publish(_WAKE, QUEUE)
            return fault
        return None

    def _forge(self, message_id: bytes, payload: bytes) -> tuple[str, bytes]:
        message = json.loads(payload)
        kind = self.dice.choice(("fence", "actor", "job", "options", "rubbish", "queue"))
        job, fence = message["args"][:2]
        name = message_id.decode()
        match kind:
            case "fence":
                message["args"] = [job, fence + self.dice.choice((-1, 1, 2))]
                name = f"{job}:{message['args'][1]}"
            case "actor":
                message["actor_name"] = self.dice.choice(("poison", "hopeless", "no_such_actor"))
            case "job":
                message["args"] = [str(uuid4()), 1]
                name = f"{message['args'][0]}:1"
            case "options":
                message["options"]["pipe_target"] = {"actor_name": "poison"}
            case "queue":
                message["queue_name"] = "another"
            case "rubbish":
                return f"{job}:{fence}:{self.dice.random()}", b"\xff{not json"
        message["message_id"] = message["options"]["redis_message_id"] = name
        return name, json.dumps(message).encode()


MESSAGES: list[type[Injection]] = [DoubleDelivery, LateDelivery, ForgedMessages]
