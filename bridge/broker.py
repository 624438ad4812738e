"""The worker's side put together: `connect_broker()` for an actors package."""

import dramatiq
import dramatiq.broker
from dramatiq.middleware import CurrentMessage, ShutdownNotifications, TimeLimit

from bridge.errors import SettingsError
from bridge.reporter import Reporter
from bridge.settings import Settings, load_settings
from bridge.transport.client import connect_redis
from bridge.transport.job_broker import JobBroker
from bridge.worker.event_loop import JobAsyncIO
from bridge.worker.window import ActorWindow


class FleetBroker(JobBroker):
    """The broker of an actors package; `settings` are those it was connected with."""

    settings: Settings


def connect_broker(settings: Settings | None = None) -> FleetBroker:
    """Read the settings and make our broker Dramatiq's current one. Opens no connection.

    Call it in the `__init__` of an actors package, before the modules that declare actors are imported.
    A setting that is missing or malformed ends the program with one line and exit code 1.
    """
    try:
        settings = settings or load_settings()
        settings.postgres_dsn()
        client = connect_redis(settings.redis_address())
    except SettingsError as error:
        raise SystemExit(f"mobvibe: {error}") from None
    reporter = Reporter(settings)
    broker = FleetBroker(
        client,
        namespace=settings.redis_namespace,
        # The order matters. Reporter first: TimeLimit must be off again before a report is made, and no job
        # may be started that another hook then keeps from running unseen. ActorWindow last.
        middleware=[
            reporter,
            TimeLimit(),
            ShutdownNotifications(),
            CurrentMessage(),
            JobAsyncIO(reporter.end_process),
            ActorWindow(lambda: reporter.process.runs),
        ],
    )
    broker.settings = settings
    dramatiq.set_broker(broker)
    return broker


def connected_settings() -> Settings:
    """The settings that `connect_broker()` read. Raises RuntimeError where it was not called."""
    broker = dramatiq.broker.global_broker
    if not isinstance(broker, FleetBroker):
        raise RuntimeError("no broker of ours: call connect_broker() (from bridge.broker) first")
    return broker.settings
