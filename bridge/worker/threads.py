"""Dramatiq's threads that work jobs, kept alive."""

import logging
from collections.abc import Callable

from dramatiq import Broker
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Interrupt

logger = logging.getLogger(__name__)


def outlive(broker: Broker, process: Callable[[MessageProxy], None], message: MessageProxy) -> None:
    """Whatever comes out of Dramatiq's own code around an actor would end the thread, and its slot with it.

    A time limit may fall due there, and an option that is not what Dramatiq takes it for is met there.
    """
    try:
        process(message)
    except Interrupt as late:
        broker.emit_after("process_message", message, exception=late.__context__ or late)
    except BaseException as error:
        logger.critical("Unexpected failure around an actor", exc_info=True)
        broker.emit_after("process_message", message, exception=error)
