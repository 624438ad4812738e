"""What the pages share: the stores, and cached answers, so that many viewers cost no more than one."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.errors import BridgeError, NoConnectionFreeError, SchemaError, StoreUnavailableError
from bridge.postgres.older_schema import unless_missing
from bridge.postgres.pool import Pool
from bridge.postgres.queue_pauses import find_pauses
from bridge.postgres.queue_rows import HELD_SECONDS
from bridge.postgres.startup_checks import SCHEMA_VERSION
from bridge.settings import Settings
from bridge.transport.client import check_redis, connect_redis
from bridge.web.cached import Cached
from bridge.web.histories import Histories
from bridge.web.overview import Overview
from bridge.web.token_keys import TokenKeys

logger = logging.getLogger(__name__)

# Of each store, for a probe: who asks for /readyz waits some seconds at most, and both stores may be silent.
_PROBE_SECONDS = 1.0
_CACHE_SECONDS = 1.0  # no viewer notices older numbers, and any number of viewers costs one query a second


@dataclass(frozen=True, slots=True)
class Readiness:
    """The state of each component: `ok`, or what is wrong with it."""

    checks: dict[str, str]

    @property
    def ready(self) -> bool:
        return all(check == "ok" for check in self.checks.values())


class Services:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.token_keys = TokenKeys.of(settings)
        self.pool = Pool(settings.postgres_dsn(), "web", size=settings.web_database_connections)
        # Probes have a connection of their own: a busy pool must not make the process look dead.
        self._probe = Pool(
            settings.postgres_dsn(),
            "probe",
            size=1,
            timeout_seconds=_PROBE_SECONDS,
            statement_timeout_ms=int(_PROBE_SECONDS * 1000),
        )
        self._redis = connect_redis(
            settings.redis_address(), namespace=settings.redis_namespace, timeout_seconds=_PROBE_SECONDS
        )
        self.readiness = Cached(self._check, _CACHE_SECONDS)
        self.statistics = Cached(self._count, _CACHE_SECONDS)
        self.histories = Histories(self.pool.call)
        self.overview = Overview(self.pool.call, self.histories)

    def _check(self) -> Readiness:
        return Readiness({"postgres": self._ask_postgres(), "schema": self._ask_schema(), "redis": self._ask_redis()})

    def _ask_postgres(self) -> str:
        return _ok_or_why(lambda: self._probe.call("ping"))

    def _ask_schema(self) -> str:
        def ask() -> None:
            found = self._probe.call("mobvibe_schema_version")[0]["version"]
            if abs(found - SCHEMA_VERSION) > 1:
                raise SchemaError(f"schema {found}, this version needs {SCHEMA_VERSION}")

        return _ok_or_why(ask)

    def _ask_redis(self) -> str:
        return _ok_or_why(lambda: check_redis(self._redis))

    def _count(self) -> dict[str, Any]:
        return {
            "queues": self.pool.call("queue_counts"),
            "pauses": find_pauses(self.pool.call),
            "refused_sessions": unless_missing(lambda: self.pool.call("refused_sessions")) or [],
            "workers": self.pool.call("worker_counts")[0],
            "vacuum_held": self.pool.call("vacuum_holder", {"seconds": HELD_SECONDS}),
        }


def _ok_or_why(ask: Callable[[], object]) -> str:
    try:
        ask()
    except NoConnectionFreeError as error:
        return _not_ready(f"{error.store} {error.condition}", error)
    except StoreUnavailableError as error:
        return _not_ready(f"{error.store} {'does not answer' if error.waiting_helps else error.condition}", error)
    except SchemaError as error:
        return _not_ready("the database is not migrated, or by another version", error)
    except BridgeError as error:
        return _not_ready("refused", error)
    return "ok"


def _not_ready(shown: str, error: BridgeError) -> str:
    # Anyone may ask for /readyz, so addresses and roles in the error's text go to the log only.
    logger.debug("Not ready", extra={"reason": str(error)})
    return shown
