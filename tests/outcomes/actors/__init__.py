"""An actors package whose actors end in every way there is."""

import os

import dramatiq

from bridge.broker import connect_broker
from bridge.worker import process as worker_process

# Each attempt of an actor that does not react to its interrupt lasts that long: tests set a shorter time.
worker_process.UNRESPONSIVE_SECONDS = float(os.environ.get("UNRESPONSIVE_SECONDS", worker_process.UNRESPONSIVE_SECONDS))
connect_broker()

from tests.outcomes.actors.middleware import Unruly  # noqa: E402 -- as the actors, it needs the broker

dramatiq.get_broker().add_middleware(Unruly())

from tests.outcomes.actors import exceptions as exceptions  # noqa: E402
from tests.outcomes.actors import hooked as hooked  # noqa: E402
from tests.outcomes.actors import interrupted as interrupted  # noqa: E402
from tests.outcomes.actors import process as process  # noqa: E402
from tests.outcomes.actors import returns as returns  # noqa: E402
from tests.outcomes.actors import slots as slots  # noqa: E402
