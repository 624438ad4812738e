"""Wake-ups over Redis pub/sub: hints only, for what a poll would find a little later."""

import logging
import threading
import time
from collections.abc import Callable
from uuid import uuid4

from bridge.errors import RedisUnavailableError
from bridge.runtime.backoff import full_jitter
from bridge.runtime.watchdog import WATCHDOG
from bridge.transport.client import Client, translate_redis_errors

logger = logging.getLogger(__name__)

PROBE_SECONDS = 5.0  # a dead link costs slower wake-ups only: it may go unnoticed for some seconds
_ECHO_SECONDS = 4.0  # less than PROBE_SECONDS, so that one probe is settled before the next; as slow as Redis may be


class WakeUps:
    """Calls back with each message on a channel, and with None whenever some may have been missed.

    Every PROBE_SECONDS it publishes a message to itself, on a channel of its own, and must receive it: a link that
    broke without an error looks just like a channel without messages.
    """

    def __init__(self, client: Client, channel: str, callback: Callable[[str | None], None]) -> None:
        self._client = client
        self._channel = channel
        self._callback = callback
        self._is_logged = False
        self._stopping = threading.Event()
        name = f"wake-ups {channel}"
        self._thread = threading.Thread(target=WATCHDOG.watched(name, self._run), name=name, daemon=True)
        self.subscribed = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout_seconds: float = 2.0) -> None:
        self._stopping.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._subscribe()
                failures = 0
            except RedisUnavailableError as error:
                # The outage is reported where Redis is needed; here it only means slower wake-ups.
                self._log(error)
                self.subscribed.clear()
                failures += 1
                self._stopping.wait(0.05 + full_jitter(failures, cap_seconds=1.0))
            except Exception:
                logger.exception("Wake-ups failed and start again")
                self._stopping.wait(1.0)

    def _log(self, error: RedisUnavailableError) -> None:
        """Once, and only what no other call would report: SUBSCRIBE is renamed, or not allowed."""
        if not error.waiting_helps and not self._is_logged:
            self._is_logged = True
            logger.warning("Wake-ups cannot be heard, polling instead", extra={"reason": str(error)})

    def _subscribe(self) -> None:
        with translate_redis_errors(), self._client.pubsub(ignore_subscribe_messages=False) as subscription:
            echo = f"{self._channel}:{uuid4().hex}".encode()
            subscription.subscribe(echo, self._channel)
            probed_at, is_echoed = time.monotonic(), False  # the answer to the subscription is awaited like an echo
            while not self._stopping.is_set():
                WATCHDOG.turn()
                message = subscription.get_message(timeout=0.5)
                now = time.monotonic()
                if message is None:
                    if not is_echoed and now - probed_at > _ECHO_SECONDS:
                        raise RedisUnavailableError("this subscription does not hear its own word")
                elif message["channel"] == echo:
                    is_echoed = True
                elif message["type"] == "subscribe":
                    self.subscribed.set()
                    self._callback(None)  # after subscribing: the callback then polls, so nothing is missed in between
                elif message["type"] == "message":
                    self._callback(message["data"].decode("utf-8", "replace"))
                if is_echoed and now - probed_at >= PROBE_SECONDS:
                    probed_at, is_echoed = now, False
                    self._client.publish(echo, "")
