"""Many callers, one writer: what is waiting when the last write ends goes out together."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from bridge.backoff import full_jitter
from bridge.errors import BridgeError, PostgresBusyError, StoreUnavailableError

logger = logging.getLogger(__name__)

Item = TypeVar("Item")


class GroupCommit(Generic[Item]):
    """A thread that writes submitted items in order, as many at a time as have come together.

    There is no interval to wait for: an item alone is written at once, and under load the groups grow by
    themselves. While the store is away the items wait, in order, and are written when it is back; writing
    an item twice must therefore be harmless.

    No item holds up the others. A group that does not get through is taken apart: an item that meets a lock
    goes to the back of the queue, one that the store refuses is given to `on_refused`, which may return
    another one to write in its place.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[Item]], None],
        *,
        on_refused: Callable[[Item, BridgeError], Item | None] = lambda _item, _error: None,
        group_size: int = 500,
        capacity: int = 100_000,
    ) -> None:
        self._name = name
        self._write = write
        self._on_refused = on_refused
        self._group_size = group_size
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._give_up_at = float("inf")
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, *items: Item) -> None:
        """Queue items for writing. Blocks only while `capacity` items wait, until the store is back."""
        with self._changed:
            while len(self._items) >= self._capacity and not self._closing.is_set():
                self._changed.wait(0.5)
            self._items.extend(items)
            self._changed.notify_all()

    def close(self, timeout_seconds: float) -> int:
        """Write what is left, within the time given; how many items were not."""
        self._give_up_at = time.monotonic() + timeout_seconds
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout_seconds + 0.1)
        with self._changed:
            return len(self._items)

    def _run(self) -> None:
        failures = 0
        while (group := self._next_group()) is not None:
            try:
                behind = self._write_or_take_apart(group)
            except StoreUnavailableError as error:
                if failures == 0:
                    logger.error("%s is unreachable, %s wait", error.store, self._name, extra={"reason": str(error)})
                failures += 1
                self._rest(full_jitter(failures, cap_seconds=2.0))
                continue
            if failures:
                logger.info("%s are written again", self._name.capitalize())
                failures = 0
            with self._changed:
                for _ in group:
                    self._items.popleft()
                self._items.extend(behind)
                self._changed.notify_all()
            if behind:
                self._rest(0.2)

    def _next_group(self) -> list[Item] | None:
        """What waits, in order; None when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closing.is_set())
            if not self._items or time.monotonic() >= self._give_up_at:
                return None
            return list(islice(self._items, self._group_size))

    def _write_or_take_apart(self, group: Sequence[Item]) -> list[Item]:
        """Write a group, one by one where it does not get through; what must be tried again behind the others."""
        try:
            self._write(group)
        except PostgresBusyError:
            if len(group) == 1:
                return list(group)
        except StoreUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 -- a bug met by one item is that item's alone
            if len(group) == 1:
                instead = self._refused(group[0], error)
                return [] if instead is None else [instead]
        else:
            return []
        return [item for one in group for item in self._write_or_take_apart([one])]

    def _refused(self, item: Item, error: Exception) -> Item | None:
        if isinstance(error, BridgeError):
            logger.error("One of the %s was refused", self._name, extra={"reason": str(error)})
            return self._on_refused(item, error)
        logger.error("One of the %s met a bug", self._name, exc_info=error)
        return self._on_refused(item, BridgeError(f"{type(error).__name__}: {error}"))

    def _rest(self, seconds: float) -> None:
        self._closing.wait(0.05 + seconds)
        if self._closing.is_set():
            time.sleep(0.05)  # the store may come back within the time that is left
