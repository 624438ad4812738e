"""The commands that run our processes: `run`, `worker`, `web`, and `up` for all at once."""

import logging

import click

from bridge.logs.formats import configure_logging
from bridge.settings import Settings, given_names, likely_typos, load_settings

logger = logging.getLogger(__name__)

_STOP_SECONDS = 10.0  # longer than a call to a store can take: its statement timeout is 8 s


def service_settings() -> Settings:
    """The settings of a long-running process. Sets up logging, and warns of misspelled variables."""
    settings = load_settings()
    configure_logging(settings)
    for given, meant in likely_typos(given_names()):
        logger.warning("%s is not a setting; did you mean %s?", given, meant)
    return settings


@click.command()
def run() -> None:
    """Run the bridge: claim jobs from Postgres and hand them to the workers."""
    from bridge.runtime.liveness import Liveness

    settings = service_settings()
    settings.check_store_addresses()
    liveness = Liveness("bridge", settings)
    liveness.start()
    try:
        _run_bridge(settings)
    finally:
        liveness.close()


def _run_bridge(settings: Settings) -> None:
    from bridge.dispatch.process import BridgeProcess
    from bridge.runtime.signals import StoppedError, StopSignal
    from bridge.runtime.watchdog import WATCHDOG

    stop = StopSignal()
    bridge = BridgeProcess(settings)
    WATCHDOG.watch("start")
    try:
        with stop.raising():
            bridge.check(stop.rest)
        stop.rest(0)
    except StoppedError:
        return
    bridge.start()
    WATCHDOG.forget()
    stop.wait()
    logger.info("Received shutdown signal", extra={"signal": stop.name})
    if bridge.stop(_STOP_SECONDS):
        logger.info("Bridge stopped cleanly")
    else:
        logger.warning("Bridge stopped with a call still under way; its jobs come back by themselves")


@click.command()
def worker() -> None:
    """Run the workers: `dramatiq` with options from the settings, each process restarted when it dies."""
    from bridge.worker.supervisor import Supervisor

    settings = service_settings()
    settings.check_store_addresses()
    Supervisor(settings).run()
    logger.info("Workers stopped")


@click.command()
def web() -> None:
    """Serve health, statistics, the sessions API and the start page."""
    from bridge.web.server import serve

    serve(service_settings())


@click.command()
@click.option("--sample/--no-sample", default=True, help="Send a sample job when everything is up (the default).")
def up(*, sample: bool) -> None:
    """Run everything on this machine, with its own Postgres and Redis unless their addresses are set.

    Ctrl-C stops it all; the data stays in .mobvibe/. While it runs, other commands in this folder find its
    stores by themselves. For development only.
    """
    from bridge.dev.up import Launcher

    Launcher(load_settings()).run(sample=sample)
