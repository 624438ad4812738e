"""Many callers, one writer: what is waiting when the last write ends goes out together."""

import logging
import math
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue
from typing import Generic, TypeVar

from bridge.backoff import full_jitter
from bridge.errors import BridgeError, PostgresBusyError, RightsError, SchemaError, StoreUnavailableError
from bridge.outages import Trouble
from bridge.postgres_errors import may_be_of_an_item
from bridge.watchdog import WATCHDOG

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

_LARGE = 3
_LINGER_SECONDS = 0.01
_LONG_SECONDS = 30.0  # for something to be locked
# The last two: somebody is about to migrate, or to grant. What is finished must not be thrown away for that.
_MAY_PASS = (StoreUnavailableError, RightsError, SchemaError)


class GroupCommit(Generic[Item]):
    """A thread that writes submitted items in order, as many at a time as have come together.

    An item alone is written at once. While groups are large already, each waits a few milliseconds to become
    larger: nobody notices, and the store has less to do. While the store is away the items wait, in order, and
    are written when it is back; writing an item twice must therefore be harmless.

    No item holds up the others. A group that does not get through is taken apart, `in_haste`: an item that meets
    a lock goes to the back of the queue, and those with the same `key` behind it, in order, and is tried by itself from
    then on; one that the store refuses is given to `on_refused`, which says so in the log and may return another one to
    write in its place. One that meets a missing right, table or setting is given to `on_stuck`, unless all would meet
    it: `probe` writes nothing, as those items are written, and raises what is in the way of all. Then they wait.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[Item]], None],
        *,
        on_refused: Callable[[Item, BridgeError], Item | None] | None = None,
        on_stuck: Callable[[Item, BridgeError], object] | None = None,
        probe: Callable[[Sequence[Item]], object] | None = None,
        in_haste: Callable[[], AbstractContextManager[None]] = nullcontext,
        key: Callable[[Item], Hashable] = id,
        group_size: int = 500,
        capacity: int = 100_000,
    ) -> None:
        self._name = name
        self._write = write
        self._on_refused = on_refused
        self._on_stuck = on_stuck or self._refused
        self._probe = probe
        self._in_haste = in_haste
        self._key = key
        self._group_size = group_size
        self._capacity = capacity
        # Not a lock and a list: an actor is interrupted wherever it is, in `submit` too, and a lock it held
        # then would never be let go. A put is one step that is done or not.
        self._submitted: SimpleQueue[Item | None] = SimpleQueue()
        self._waiting: list[Item] = []  # the writer's own
        self._behind = 0  # of those, what met a lock the last time: that leaves room for as many others as ever
        self._behind_since = math.inf
        self._last_size = 0
        self._closing = threading.Event()
        self._give_up_at = float("inf")
        self._thread = threading.Thread(target=WATCHDOG.watched(name, self._run), name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, item: Item) -> None:
        """Queue an item for writing. Blocks only while `capacity` items wait, until the store is back."""
        while len(self._waiting) + self._submitted.qsize() >= self._capacity and not self._closing.is_set():
            time.sleep(0.05)
        self._submitted.put(item)

    def close(self, timeout_seconds: float) -> int:
        """Write what is left, within the time given; how many items were not."""
        self._give_up_at = time.monotonic() + timeout_seconds
        self._closing.set()
        self._submitted.put(None)  # wakes the writer
        self._thread.join(timeout_seconds + 0.1)
        return len(self._waiting) + self._submitted.qsize()

    def _run(self) -> None:
        name = self._name
        trouble = Trouble(
            name, lambda _: f"Postgres does not take the {name}, they wait", f"{name.capitalize()} are written again"
        )
        failures = 0
        while (group := self._next_group()) is not None:
            try:
                behind = self._write_in_turn(group)
            except _MAY_PASS as error:
                trouble.met(error)
                failures += 1
                self._rest(full_jitter(failures, cap_seconds=2.0))
                continue
            trouble.over()
            failures = 0
            self._waiting = behind
            self._note_locked(len(behind))
            if behind:
                self._rest(0.2)
        trouble.forget()

    def _note_locked(self, behind: int) -> None:
        if not self._behind:
            self._behind_since = time.monotonic()
        if behind and time.monotonic() - self._behind_since >= _LONG_SECONDS:
            logger.warning(
                "Some of the %s meet locks and wait: does somebody hold a transaction open?",
                self._name,
                extra={"waiting": behind},
            )
            self._behind_since = math.inf  # said once, until all were written
        self._behind = behind

    def _next_group(self) -> list[Item] | None:
        """What waits, in order; None when it is time to end."""
        while not self._waiting:
            if self._closing.is_set() and self._submitted.empty():
                return None
            self._wait()
        if self._last_size >= _LARGE:
            self._closing.wait(_LINGER_SECONDS)
        size = self._group_size + self._behind
        while len(self._waiting) < size and not self._submitted.empty():
            self._take()
        if time.monotonic() >= self._give_up_at:
            return None
        self._last_size = len(self._waiting)
        return list(self._waiting)

    def _wait(self) -> None:
        WATCHDOG.turn(math.inf)  # nothing to write may come for ever
        self._take()
        WATCHDOG.turn()

    def _take(self) -> None:
        item = self._submitted.get()
        if item is not None:
            self._waiting.append(item)

    def _write_in_turn(self, group: Sequence[Item]) -> list[Item]:
        """First what has met no lock, so that it waits for none; what must be tried again."""
        if not self._behind:
            return self._write_or_take_apart(group)
        locked = {self._key(one) for one in group[: self._behind]}
        free = [one for one in group if self._key(one) not in locked]
        behind = self._write_or_take_apart(free) if free else []
        return self._write_one_by_one([one for one in group if self._key(one) in locked]) + behind

    def _write_or_take_apart(self, group: Sequence[Item]) -> list[Item]:
        """Write a group, one by one where it does not get through; what must be tried again behind the others."""
        try:
            self._write(group)
        except _MAY_PASS as error:
            if may_be_of_an_item(error):
                self._raise_if_all_meet(error, group)
                if len(group) == 1:
                    self._on_stuck(group[0], error)
                    return []
            elif not isinstance(error, PostgresBusyError):
                raise
            elif len(group) == 1:
                return list(group)
        except Exception as error:  # noqa: BLE001 -- a bug met by one item is that item's alone
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
        with self._in_haste():
            for one in group:
                left = [one] if self._key(one) in held_back else self._write_or_take_apart([one])
                if left:
                    behind += left
                    held_back.add(self._key(one))
        return behind

    def _raise_if_all_meet(self, error: BridgeError, group: Sequence[Item]) -> None:
        if self._probe is None:
            raise error
        try:
            self._probe(group)
        except _MAY_PASS:
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
        self._closing.wait(0.05 + seconds)
        if self._closing.is_set():
            time.sleep(0.05)  # the store may come back within the time that is left
