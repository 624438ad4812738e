"""The keys that a project publishes, kept here, and read again by one thread: no request ever waits for them."""

import logging
import math
import threading
import time
from collections.abc import Callable

import jwt

from bridge.web.jwks_endpoint import JwksError, read_keys

logger = logging.getLogger(__name__)

REFRESH_SECONDS = (
    300.0  # a key that was withdrawn is refused from then on; Supabase asks for twenty minutes of patience
)
LEAST_SECONDS = 60.0  # between two reads, whatever tokens come: anybody can send one with an id that nobody knows
# How long keys serve while they cannot be read. The longer, the longer a withdrawn one serves, too; and who is on call
# has been told.
KEPT_SECONDS = 24 * 3600.0
_SOON_SECONDS = 1  # for who comes during a read


class KeysUnavailableError(Exception):
    """Whether a token is good cannot be known now. `retry_after`: seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the project's keys cannot be read now")
        self.retry_after = retry_after


class Jwks:
    def __init__(
        self,
        address: str,
        read: Callable[[str], dict[str, jwt.PyJWK]] = read_keys,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._is_reading = False
        self._begun_at = 0.0
        self._problem: str | None = None

    def start(self) -> None:
        """Begin to read the keys, so that the first request finds them."""
        with self._lock:
            if self._thread is None:
                self._begin()
                self._thread = threading.Thread(target=self._run, name="jwks", daemon=True)
                self._thread.start()

    def key(self, kid: str) -> jwt.PyJWK | None:
        """The key with this id; None: the project has none. Raises KeysUnavailableError if that is not known."""
        self.start()
        with self._lock:
            is_kept = self._read_at is not None and self._clock() - self._read_at <= KEPT_SECONDS
            if is_kept and kid in self._keys:
                return self._keys[kid]
            until_next = self._begun_at + LEAST_SECONDS - self._clock()
            if not self._is_reading and until_next <= 0:
                self._begin()
                self._wanted.set()
            if self._is_reading:
                raise KeysUnavailableError(_SOON_SECONDS)
            if self._problem is not None:
                raise KeysUnavailableError(math.ceil(until_next))
            return None

    def _begin(self) -> None:
        self._is_reading = True
        self._begun_at = self._clock()

    def _run(self) -> None:
        while True:
            self._refresh()
            self._wanted.wait(REFRESH_SECONDS if self._problem is None else LEAST_SECONDS)
            with self._lock:
                self._wanted.clear()
                self._begin()

    def _refresh(self) -> None:
        try:
            keys, problem = self._read(self._address), None
        except JwksError as error:
            keys, problem = None, str(error)
        with self._lock:
            self._is_reading = False
            before, self._problem = self._problem, problem
            if keys is not None:
                self._keys, self._read_at = keys, self._clock()
        if problem is not None and before is None:
            logger.warning("Keys of tokens cannot be read from SUPABASE_JWKS_URL: %s; those known serve on", problem)
        elif problem is None and before is not None:
            logger.info("Keys of tokens can be read again")
