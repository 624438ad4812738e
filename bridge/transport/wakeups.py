"""Wake-ups over Redis pub/sub: hints only, for what a poll would find a little later."""

import logging
import time
from collections.abc import Callable
from uuid import uuid4

from bridge.errors import RedisUnavailableError, StoreUnavailableError
from bridge.runtime.backoff import LEAST_REST_SECONDS
from bridge.runtime.subscription import STOP_CHECK_SECONDS, Subscription
from bridge.runtime.watchdog import WATCHDOG
from bridge.transport.client import Client, discovery_of, translate_redis_errors

logger = logging.getLogger(__name__)

PROBE_SECONDS = 5.0  # a dead link costs slower wake-ups only: it may go unnoticed for some seconds
_LOOK_SECONDS = 1.0  # how long a process may go on with a primary that came back and does not know of the next one
_ECHO_SECONDS = 4.0  # less than PROBE_SECONDS, so that one probe is settled before the next; as slow as Redis may be


class WakeUps(Subscription):
    """Calls back with each message on a channel, and with None whenever some may have been missed.

    Every PROBE_SECONDS it publishes a message to itself, on a channel of its own, and must receive it: a link that
    broke without an error looks just like a channel without messages. It also looks for another primary: one that was
    frozen takes calls for ten seconds before its Sentinels tell it, while other processes have left it.
    """

    # Later than a poll (POLL_SECONDS) a wake-up would be of no use.
    least_rest_seconds, most_rest_seconds = LEAST_REST_SECONDS, 1.0
    failed_text = "Wake-ups failed and start again"

    def __init__(self, client: Client, channel: str, callback: Callable[[str | None], None]) -> None:
        super().__init__(f"wake-ups {channel}")
        self._client = client
        self._channel = channel
        self._callback = callback
        self._is_logged = False

    def _lost(self, error: StoreUnavailableError, *, is_new: bool) -> None:  # noqa: ARG002
        """An outage is logged where Redis is needed: here it only means slower wake-ups.

        So it logs only what no other call would: SUBSCRIBE is renamed, or not allowed.
        """
        if not error.waiting_helps and not self._is_logged:
            self._is_logged = True
            logger.warning("Wake-ups cannot be received, polling instead", extra={"reason": str(error)})

    def _receive(self) -> None:
        with translate_redis_errors(), self._client.pubsub(ignore_subscribe_messages=False) as subscription:
            echo = f"{self._channel}:{uuid4().hex}".encode()
            subscription.subscribe(echo, self._channel)
            discovery, looked_at = discovery_of(self._client), time.monotonic()
            probed_at, is_echoed = looked_at, False  # the answer to the subscription is awaited like an echo
            while not self._stopping.is_set():
                WATCHDOG.turn()
                message = subscription.get_message(timeout=STOP_CHECK_SECONDS)
                now = time.monotonic()
                if message is None:
                    if not is_echoed and now - probed_at > _ECHO_SECONDS:
                        raise RedisUnavailableError("this subscription does not receive its own messages")
                elif message["channel"] == echo:
                    is_echoed = True
                elif message["type"] == "subscribe":
                    self.subscribed.set()
                    self._callback(None)  # after subscribing: the callback then polls, so nothing is missed in between
                elif message["type"] == "message":
                    self._callback(message["data"].decode("utf-8", "replace"))
                if discovery is not None and now - looked_at >= _LOOK_SECONDS:
                    looked_at = now
                    discovery.look()
                if is_echoed and now - probed_at >= PROBE_SECONDS:
                    probed_at, is_echoed = now, False
                    self._client.publish(echo, "")
