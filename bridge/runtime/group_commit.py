"""Group commit: many callers submit items, one thread writes all that wait when its last write has ended."""

import logging
import math
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from queue import SimpleQueue
from typing import Generic, TypeVar

from bridge.errors import MAY_PASS, BridgeError, PostgresBusyError
from bridge.runtime.backoff import LEAST_REST_SECONDS, full_jitter
from bridge.runtime.outages import ErrorReporter
from bridge.runtime.watchdog import WATCHDOG

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

_GROUP_SIZE = 500  # items in one statement: a larger one would hold the locks of its rows for longer
_CAPACITY = 100_000  # items that wait for a store that is away: then their callers wait, before the memory runs out
_FULL_CHECK_SECONDS = 0.05  # between looks whether there is room again
_JOIN_MARGIN_SECONDS = 0.1  # at the timeout the writer ends by itself
_REST_MOST_SECONDS = 2.0  # what waits is written soon after the store is back
_LOCKED_REST_SECONDS = 0.2  # longer than most transactions hold a row
_LARGE = 3  # items: a group of this size shows that more come while one is written, so a wait makes the next one larger
_LINGER_SECONDS = 0.01  # of that wait: several items more under load, and too short for a person to notice
_LOCKED_MOST = 10  # waits for a lock in one round: one second. Behind them an item that is locked costs no wait
_NO_WAIT_SECONDS = 0.001  # the shortest time-out for a lock that Postgres has; 0 would be none
_LONG_SECONDS = 30.0  # a row that is locked longer is not ordinary traffic: log it


class GroupCommit(Generic[Item]):
    """A thread that writes submitted items in order, all that wait as one group.

    A single item is written at once. While groups are large, each waits a few milliseconds to become larger, which
    saves the store work. While the store is away the items wait in order, and are written when it is back. Danger:
    an item may be written twice, so that must be harmless.

    One item cannot block the others. A group that fails is written item by item, inside `in_haste()`, and inside
    `in_haste(seconds)` when many have met a lock: then even a short wait for each would add up. An item that
    meets a lock goes to the back of the queue, together with later items of the same `key` to keep their order, and
    is written alone from then on. An item that the store refuses is passed to `on_refused`, which logs it and may
    return another item to write in its place.

    An error for which `may_be_of_an_item` is true looks general (a missing right, table or setting) but may concern one
    item only. `probe` decides: it makes the calls that these items need, writes nothing, and raises the error that all
    would get. If it raises, all wait. If not, the item with the error is passed to `on_stuck`.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[Item]], None],
        *,
        on_refused: Callable[[Item, BridgeError], Item | None] | None = None,
        on_stuck: Callable[[Item, BridgeError], object] | None = None,
        may_be_of_an_item: Callable[[BridgeError], bool] = lambda _: False,
        probe: Callable[[Sequence[Item]], object] | None = None,
        in_haste: Callable[..., AbstractContextManager[object]] = nullcontext,
        key: Callable[[Item], Hashable] = id,
        group_size: int = _GROUP_SIZE,
        capacity: int = _CAPACITY,
    ) -> None:
        self._name = name
        self._write = write
        self._on_refused = on_refused
        self._on_stuck = on_stuck or self._refused
        self._may_be_of_an_item = may_be_of_an_item
        self._probe = probe
        self._in_haste = in_haste
        self._key = key
        self._group_size = group_size
        self._capacity = capacity
        # Not a lock and a list: an actor may be interrupted anywhere, inside `submit` too, and a lock that it held
        # then would never be released. SimpleQueue.put is atomic.
        self._submitted: SimpleQueue[Item | None] = SimpleQueue()
        self._waiting: list[Item] = []  # used by the writer thread only
        self._behind = 0  # how many at its front found a lock the last time: they do not count towards the group size
        self._behind_since = math.inf
        self._last_size = 0
        self._closing = threading.Event()
        self._give_up_at = float("inf")
        self._thread = threading.Thread(target=WATCHDOG.watched(name, self._run), name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, item: Item) -> None:
        """Queue an item for writing. Blocks only while `capacity` items wait for a store that is away."""
        while len(self._waiting) + self._submitted.qsize() >= self._capacity and not self._closing.is_set():
            time.sleep(_FULL_CHECK_SECONDS)
        self._submitted.put(item)

    def close(self, timeout_seconds: float) -> int:
        """Write what is left, within the timeout. Returns how many items were not written."""
        self._give_up_at = time.monotonic() + timeout_seconds
        self._closing.set()
        self._submitted.put(None)  # wakes the writer
        self._thread.join(timeout_seconds + _JOIN_MARGIN_SECONDS)
        return len(self._waiting) + self._submitted.qsize()

    def _run(self) -> None:
        name = self._name
        errors = ErrorReporter(
            name, lambda _: f"Postgres does not take the {name}, they wait", f"{name.capitalize()} are written again"
        )
        failures = 0
        while (group := self._next_group()) is not None:
            try:
                behind = self._write_in_turn(group)
            except MAY_PASS as error:
                errors.failed(error)
                failures += 1
                self._rest(full_jitter(failures, cap_seconds=_REST_MOST_SECONDS))
                continue
            errors.succeeded()
            failures = 0
            self._waiting = behind
            self._note_locked(len(behind))
            if behind:
                self._rest(_LOCKED_REST_SECONDS)
        errors.close()

    def _note_locked(self, behind: int) -> None:
        if not self._behind:
            self._behind_since = time.monotonic()
        if behind and time.monotonic() - self._behind_since >= _LONG_SECONDS:
            logger.warning(
                "Some of the %s wait for row locks: is a transaction left open?",
                self._name,
                extra={"waiting": behind},
            )
            self._behind_since = math.inf  # log it once, until all were written
        self._behind = behind

    def _next_group(self) -> list[Item] | None:
        """The items that wait, in order; None when the thread must end."""
        while not self._waiting:
            if self._closing.is_set() and self._submitted.empty():
                return None
            self._wait()
        if self._last_size >= _LARGE:
            self._closing.wait(_LINGER_SECONDS)
        size = self._group_size + self._behind
        for _ in range(min(size - len(self._waiting), self._submitted.qsize())):
            self._take()
        if time.monotonic() >= self._give_up_at:
            return None
        self._last_size = len(self._waiting)
        return list(self._waiting)

    def _wait(self) -> None:
        WATCHDOG.turn(math.inf)  # it may be any time until the next item is submitted
        self._take()
        WATCHDOG.turn()

    def _take(self) -> None:
        item = self._submitted.get()
        if item is not None:
            self._waiting.append(item)

    def _write_in_turn(self, group: Sequence[Item]) -> list[Item]:
        """Write first the items that met no lock before, so that no lock delays them. Returns what to try again."""
        if not self._behind:
            return self._write_or_take_apart(group)
        locked = {self._key(one) for one in group[: self._behind]}
        free = [one for one in group if self._key(one) not in locked]
        behind = self._write_or_take_apart(free) if free else []
        return self._write_one_by_one([one for one in group if self._key(one) in locked]) + behind

    def _write_or_take_apart(self, group: Sequence[Item]) -> list[Item]:
        """Write a group, item by item when it fails as a whole. Returns what to try again after the others."""
        try:
            self._write(group)
        except MAY_PASS as error:
            if self._may_be_of_an_item(error):
                self._raise_if_all_meet(error, group)
                if len(group) == 1:
                    self._on_stuck(group[0], error)
                    return []
            elif not isinstance(error, PostgresBusyError):
                raise
            elif len(group) == 1:
                return list(group)
        except Exception as error:  # noqa: BLE001 -- a bug that one item meets must not stop the others
            if len(group) == 1:
                instead = self._refused(group[0], error)
                return [] if instead is None else [instead]
        else:
            return []
        return self._write_one_by_one(group)

    def _write_one_by_one(self, group: Sequence[Item]) -> list[Item]:
        if not group:
            return []
        behind: list[Item] = []
        held_back: set[Hashable] = set()
        with ExitStack() as haste:
            haste.enter_context(self._in_haste())
            for one in group:
                if self._key(one) in held_back:
                    behind.append(one)
                elif left := self._write_or_take_apart([one]):
                    behind += left
                    held_back.add(self._key(one))
                    if len(held_back) == _LOCKED_MOST:
                        haste.enter_context(self._in_haste(_NO_WAIT_SECONDS))
        return behind

    def _raise_if_all_meet(self, error: BridgeError, group: Sequence[Item]) -> None:
        if self._probe is None:
            raise error
        try:
            self._probe(group)
        except MAY_PASS:
            raise
        except Exception:  # no answer to the question: each is tried by itself
            logger.debug("One of the probes failed", exc_info=True)

    def _refused(self, item: Item, error: Exception) -> Item | None:
        if not isinstance(error, BridgeError):
            logger.error("One of the %s met a bug", self._name, exc_info=error)
            error = BridgeError(f"{type(error).__name__}: {error}")
        if self._on_refused is not None:
            return self._on_refused(item, error)
        logger.error("One of the %s was refused", self._name, extra={"reason": str(error)})
        return None

    def _rest(self, seconds: float) -> None:
        WATCHDOG.turn(seconds)
        self._closing.wait(LEAST_REST_SECONDS + seconds)
        if self._closing.is_set():
            time.sleep(LEAST_REST_SECONDS)  # keep trying while closing: the store may come back before the timeout
