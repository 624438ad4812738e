"""Network faults on the way to the stores, made by the proxies."""

import time
from typing import Any, ClassVar

from tests.campaign.evidence import Fault
from tests.campaign.faults.injection import Injection
from tests.campaign.world import CLIENTS, POSTGRES, REDIS

# The calls whose lost answers matter most.
CALLS = ("complete_jobs", "start_jobs", "claim_jobs", "fail_jobs", "release_jobs", "heartbeat_worker")


class _ConditionFault(Injection):
    """Bad network conditions before one of the stores for a while."""

    store: ClassVar[str]

    def conditions(self) -> dict[str, Any]:
        raise NotImplementedError

    def inject(self) -> Fault | None:
        self.seconds = self.dice.uniform(0.5, 2.5)
        fault = self.fault()
        self.world.proxies.set_conditions(self.store, **self.conditions())
        return fault

    def heal(self, fault: Fault) -> None:
        self.world.proxies.clear(self.store)
        fault.next_claim_since = time.time()


class _Slow(_ConditionFault):
    def conditions(self) -> dict[str, Any]:
        return {"latency": self.dice.uniform(0.01, 0.2), "jitter": self.dice.uniform(0, 0.2)}


class _Refused(_ConditionFault):
    def conditions(self) -> dict[str, Any]:
        self.world.proxies.order(self.store, "reset")
        return {"refuse": True}


class _LostReplies(_ConditionFault):
    def conditions(self) -> dict[str, Any]:
        calls = self.dice.choice([(), *((call,) for call in CALLS)]) if self.store == POSTGRES else ("EVALSHA",)
        return {"lose_replies": self.dice.choice((0.1, 0.5, 1.0)), "asking": calls}


class _HalfOpen(_ConditionFault):
    """Half-open connections: all bytes are dropped, and no end is seen. These connections never recover."""

    def conditions(self) -> dict[str, Any]:
        return {"drop": self.dice.choice(("existing", "all"))}


class _Reset(Injection):
    store: ClassVar[str]

    def inject(self) -> Fault | None:
        fault = self.fault(stops_claims=True)
        self.world.proxies.order(self.store, "reset", share=self.dice.choice((0.3, 1.0)))
        return fault


class _Cut(Injection):
    store: ClassVar[str]

    def inject(self) -> Fault | None:
        fault = self.fault(stops_claims=self.store != CLIENTS)
        count = int(10 ** self.dice.uniform(0, 4))
        self.world.proxies.order(self.store, "cut_after", count=count, share=self.dice.choice((0.3, 1.0)))
        return fault


class SlowPostgres(_Slow):
    label, weight, lane, store = "Postgres link slow", 3, POSTGRES, POSTGRES


class PostgresRefused(_Refused):
    label, weight, lane, store = "Postgres link down", 3, POSTGRES, POSTGRES


class LostPostgresReplies(_LostReplies):
    label, weight, lane, store = "Postgres replies lost after the commit", 9, POSTGRES, POSTGRES


class HalfOpenPostgres(_HalfOpen):
    label, weight, lane, store = "Postgres links half-open", 2, POSTGRES, POSTGRES


class ResetPostgres(_Reset):
    label, weight, lane, store = "Postgres links reset", 5, POSTGRES, POSTGRES


class CutPostgres(_Cut):
    label, weight, lane, store = "Postgres links cut after some bytes", 5, POSTGRES, POSTGRES


class SlowRedis(_Slow):
    label, weight, lane, store = "Redis link slow", 3, REDIS, REDIS


class RedisRefused(_Refused):
    label, weight, lane, store = "Redis link down", 3, REDIS, REDIS


class LostRedisReplies(_LostReplies):
    label, weight, lane, store = "Redis replies lost", 5, REDIS, REDIS


class HalfOpenRedis(_HalfOpen):
    label, weight, lane, store = "Redis links half-open", 2, REDIS, REDIS


class ResetRedis(_Reset):
    label, weight, lane, store = "Redis links reset", 5, REDIS, REDIS


class CutRedis(_Cut):
    label, weight, lane, store = "Redis links cut after some bytes", 4, REDIS, REDIS


class LostCommits(_ConditionFault):
    """The jobs are committed, but their client does not get the answer."""

    label, weight, lane, store = "answers to the clients' commits lost", 5, CLIENTS, CLIENTS

    def conditions(self) -> dict[str, Any]:
        return {"lose_replies": self.dice.choice((0.1, 0.5, 1.0)), "asking": ("COMMIT",)}

    def heal(self, fault: Fault) -> None:
        self.world.proxies.clear(self.store)


class CutClients(_Cut):
    label, weight, lane, store = "clients' links cut after some bytes", 4, CLIENTS, CLIENTS


LINKS: list[type[Injection]] = [
    SlowPostgres, PostgresRefused, LostPostgresReplies, HalfOpenPostgres, ResetPostgres, CutPostgres,
    SlowRedis, RedisRefused, LostRedisReplies, HalfOpenRedis, ResetRedis, CutRedis, LostCommits, CutClients,
]  # fmt: skip
