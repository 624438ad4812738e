"""Faults of the stores themselves: emptied, frozen, crashed, sessions ended."""

import os
import signal
import time
from contextlib import suppress
from typing import Any

import psycopg
import redis

from tests.campaign.evidence import Fault
from tests.campaign.faults.injection import Injection
from tests.campaign.world import children_of

_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'mobvibe %' ORDER BY backend_start"


class FlushRedis(Injection):
    label, weight, lane = "FLUSHALL", 6, "redis"

    def inject(self) -> Fault | None:
        with suppress(redis.RedisError), self.world.redis() as client:
            handed = self.message_copies.waiting(client)
            fault = self.fault()
            client.flushall()
            fault.handed = handed
            return fault
        return None


class KillRedis(Injection):
    label, weight, lane = "kill -9 of Redis", 2, "redis"

    def inject(self) -> Fault | None:
        with suppress(redis.RedisError), self.world.redis() as client:
            self.seconds = self.dice.uniform(0.1, 2)
            handed = self.message_copies.waiting(client)
            fault = self.fault()
            os.kill(self.world.stores.redis.pid, signal.SIGKILL)
            fault.handed = handed
            return fault
        return None

    def heal(self, fault: Fault) -> None:
        self.world.restart_redis()
        fault.next_claim_since = time.time()


class FreezeRedis(Injection):
    label, weight, lane = "SIGSTOP of Redis", 3, "redis"

    def inject(self) -> Fault | None:
        self.seconds = self.dice.choice((self.dice.uniform(0.2, 1), self.dice.uniform(5.5, 7)))
        fault = self.fault()
        os.kill(self.world.stores.redis.pid, signal.SIGSTOP)
        return fault

    def heal(self, fault: Fault) -> None:
        os.kill(self.world.stores.redis.pid, signal.SIGCONT)
        fault.next_claim_since = time.time()


class FreezePostgres(Injection):
    """All processes of Postgres are frozen, also past the workers' leases: no heartbeat arrives."""

    label, weight, lane = "SIGSTOP of Postgres", 2, "postgres"

    def inject(self) -> Fault | None:
        self.seconds = self.dice.choice((self.dice.uniform(0.2, 1), self.dice.uniform(4, 6)))
        fault = self.fault()
        self._send(signal.SIGSTOP)
        return fault

    def heal(self, fault: Fault) -> None:
        self._send(signal.SIGCONT)
        fault.next_claim_since = time.time()

    def _send(self, signum: signal.Signals) -> None:
        server = self.world.stores.postgres.pid  # stopped first, so that it starts no child that would be missed
        for pid in (server, *(child.pid for child in children_of(server))):
            with suppress(ProcessLookupError):
                os.kill(pid, signum)


class _EndSessions(Injection):
    share: float
    lane = "postgres"

    def inject(self) -> Fault | None:
        with suppress(psycopg.Error), self.world.connect() as connection:
            pids = [pid for (pid,) in connection.execute(_SESSIONS) if self.dice.random() < self.share]
            fault = self.fault(stops_claims=True)
            connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS s (pid)", [pids])
            return fault if pids else None
        return None


class EndAllSessions(_EndSessions):
    label, weight, share = "all sessions of Postgres ended", 4, 1.0


class EndSomeSessions(_EndSessions):
    label, weight, share = "some sessions of Postgres ended", 8, 0.3


class _CrashPostgres(Injection):
    """Over when Postgres serves again. From then on the time to the next claim is measured."""

    lane = "postgres"

    def is_over(self, fault: Fault) -> bool:
        with suppress(psycopg.Error), self.world.connect():
            return True
        return time.monotonic() - self._began > 30

    def heal(self, fault: Fault) -> None:
        fault.next_claim_since = time.time()


class KillBackend(_CrashPostgres):
    """Postgres ends all its sessions and recovers when one of its processes is killed."""

    label, weight = "kill -9 of a Postgres backend", 1.5

    def inject(self) -> Fault | None:
        with suppress(psycopg.Error, ProcessLookupError), self.world.connect() as connection:
            pids = [pid for (pid,) in connection.execute(_SESSIONS)]
            if pids:
                os.kill(self.dice.choice(pids), signal.SIGKILL)
                return self.fault()
        return None


class StopPostgresAtOnce(_CrashPostgres):
    """Immediate shutdown, which is a crash for all sessions, and a start after a while."""

    label, weight = "immediate shutdown of Postgres", 1

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.seconds = self.dice.uniform(0.2, 3)

    def inject(self) -> Fault | None:
        os.kill(self.world.stores.postgres.pid, signal.SIGQUIT)
        return self.fault()

    def is_over(self, fault: Fault) -> bool:
        return time.monotonic() - self._began >= self.seconds and not self.world.stores.postgres.is_running()

    def heal(self, fault: Fault) -> None:
        if not self.world.stores.postgres.is_running():
            self.world.restart_postgres()
        super().heal(fault)


STORES: list[type[Injection]] = [
    FlushRedis,
    KillRedis,
    FreezeRedis,
    FreezePostgres,
    EndAllSessions,
    EndSomeSessions,
    KillBackend,
    StopPostgresAtOnce,
]
