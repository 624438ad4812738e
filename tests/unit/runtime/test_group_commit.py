"""Items of many callers are written by one thread: in groups, in order, not delayed by refused or locked ones."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from dramatiq.middleware import raise_thread_exception

from bridge.errors import PostgresBusyError, PostgresUnavailableError, RightsError
from bridge.runtime.group_commit import GroupCommit
from tests.support.waiting import eventually


class Sink:
    """A store that can be closed, and that refuses one item."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.groups: list[list[int]] = []
        self.down = False
        self.refuses: int | None = None

    def write(self, items: Sequence[int]) -> None:
        self.open.wait(10)
        if self.down:
            raise PostgresUnavailableError("refused")
        if self.refuses in items:
            raise ValueError(self.refuses)
        self.groups.append(list(items))

    @property
    def written(self) -> list[int]:
        return [item for group in self.groups for item in group]


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def commit(sink: Sink) -> GroupCommit[int]:
    commit = GroupCommit[int]("reports", sink.write, group_size=10)
    commit.start()
    return commit


def test_waiting_items_are_written_together_and_in_order(sink: Sink, commit: GroupCommit[int]) -> None:
    sink.open.clear()
    for item in range(25):
        commit.submit(item)
    sink.open.set()

    assert commit.close(5) == 0

    assert sink.written == list(range(25))
    assert len(sink.groups) <= 4
    assert max(map(len, sink.groups)) == 10


def test_items_wait_while_the_store_is_unreachable(
    sink: Sink, commit: GroupCommit[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sink.down = True
    commit.submit(1)
    commit.submit(2)
    eventually(lambda: "unreachable" in caplog.text)
    commit.submit(3)
    sink.down = False

    eventually(lambda: sink.written == [1, 2, 3])
    assert commit.close(5) == 0
    assert [record.getMessage() for record in caplog.records] == [
        "Postgres is unreachable, trying again until it is over",
        "Postgres is back",
    ]


def test_a_refused_item_does_not_delay_the_others(
    sink: Sink, commit: GroupCommit[int], caplog: pytest.LogCaptureFixture
) -> None:
    sink.refuses = 2
    sink.open.clear()
    commit.submit(1)
    commit.submit(2)
    commit.submit(3)
    sink.open.set()

    assert commit.close(5) == 0

    assert sink.written == [1, 3]
    assert "One of the reports met a bug" in caplog.text


def test_closing_gives_up_in_time_and_counts_the_lost_items(sink: Sink, commit: GroupCommit[int]) -> None:
    sink.down = True
    commit.submit(1)
    commit.submit(2)
    commit.submit(3)
    began = time.monotonic()

    assert commit.close(0.3) == 3

    assert time.monotonic() - began < 3


def test_a_full_queue_makes_its_callers_wait(sink: Sink) -> None:
    commit = GroupCommit[int]("reports", sink.write, capacity=2)
    commit.start()
    sink.open.clear()
    commit.submit(1)
    commit.submit(2)
    blocked = threading.Thread(target=commit.submit, args=(3,))
    blocked.start()
    blocked.join(0.1)
    assert blocked.is_alive()

    sink.open.set()

    blocked.join(5)
    assert commit.close(5) == 0
    assert sink.written == [1, 2, 3]


def test_items_with_the_key_of_a_locked_one_are_written_by_themselves(sink: Sink) -> None:
    """Together with them, the whole group would wait for the lock."""
    locked, calls, write = threading.Event(), list[list[int]](), sink.write
    locked.set()

    def busy_for_one(items: Sequence[int]) -> None:
        calls.append(list(items))
        if 1 in items and locked.is_set():
            raise PostgresBusyError("lock timeout")
        write(items)

    commit = GroupCommit[int]("reports", busy_for_one, key=lambda item: item % 10)
    for item in (1, 2, 3):
        commit.submit(item)
    commit.start()
    eventually(lambda: sink.written == [2, 3])
    calls.clear()
    for item in (11, 4, 5):
        commit.submit(item)
    eventually(lambda: {4, 5} <= set(sink.written))
    locked.clear()

    assert commit.close(5) == 0
    assert sink.written == [2, 3, 4, 5, 1, 11]
    assert [items for items in calls if 1 in items and items != [1]] == []


def test_an_item_that_meets_a_lock_is_written_after_the_others(sink: Sink, commit: GroupCommit[int]) -> None:
    locked = threading.Event()
    locked.set()
    write = sink.write

    def busy_for_one(items: Sequence[int]) -> None:
        if 1 in items and locked.is_set():
            raise PostgresBusyError("lock timeout")
        write(items)

    commit._write = busy_for_one
    commit.submit(1)
    commit.submit(2)
    commit.submit(3)
    eventually(lambda: sink.written == [2, 3])

    locked.clear()

    eventually(lambda: sink.written == [2, 3, 1])
    assert commit.close(5) == 0


def test_after_many_locks_an_item_waits_for_none(sink: Sink) -> None:
    """A hundred rows that somebody has locked must not hold up the next one for a hundred times the patience."""
    locked, limits, met = set(range(100)), ["usual"], list[str]()

    def write(items: Sequence[int]) -> None:
        if locked.intersection(items):
            met.append(limits[-1])
            raise PostgresBusyError("lock timeout")
        sink.write(items)

    @contextlib.contextmanager
    def in_haste(seconds: float | None = None) -> Iterator[None]:
        limits.append("short" if seconds is None else "none")
        yield
        limits.pop()

    commit = GroupCommit[int]("reports", write, in_haste=in_haste)
    for item in range(101):
        commit.submit(item)
    commit.start()
    eventually(lambda: sink.written == [100])

    assert met[:101] == ["usual"] + ["short"] * 10 + ["none"] * 90
    locked.clear()
    eventually(lambda: len(sink.written) == 101)
    assert commit.close(5) == 0
    assert limits == ["usual"]


def test_items_with_the_same_key_wait_behind_one_that_meets_a_lock(sink: Sink) -> None:
    locked = threading.Event()
    locked.set()

    def busy_for_one(items: Sequence[int]) -> None:
        sink.open.wait(10)
        if 1 in items and locked.is_set():
            raise PostgresBusyError("lock timeout")
        sink.write(items)

    commit = GroupCommit[int]("reports", busy_for_one, group_size=10, key=lambda item: item % 10)
    sink.open.clear()
    ones = list(range(1, 200, 10))  # two groups of their own
    for item in (2, *ones, 3):
        commit.submit(item)
    commit.start()
    sink.open.set()
    eventually(lambda: sink.written == [2, 3], what="those that do not belong to it")

    locked.clear()

    eventually(lambda: sink.written == [2, 3, *ones])
    assert commit.close(5) == 0


def test_a_refused_item_may_be_written_in_another_form(sink: Sink) -> None:
    sink.refuses = 2
    commit = GroupCommit[int]("reports", sink.write, on_refused=lambda item, error: item * 100)
    commit.start()
    commit.submit(1)
    commit.submit(2)
    commit.submit(3)

    eventually(lambda: sorted(sink.written) == [1, 3, 200])
    assert commit.close(5) == 0


def test_an_interrupt_during_submit_leaves_no_lock_held(sink: Sink) -> None:
    commit = GroupCommit[int]("reports", sink.write)
    commit.start()

    class Stopped(BaseException):
        pass

    for _ in range(50):
        submitting = threading.Event()

        def submit_all_the_time(submitting: threading.Event = submitting) -> None:
            with contextlib.suppress(Stopped):
                while True:
                    commit.submit(1)
                    submitting.set()

        thread = threading.Thread(target=submit_all_the_time)
        thread.start()
        assert submitting.wait(5)
        assert thread.ident is not None
        raise_thread_exception(thread.ident, Stopped)
        thread.join(5)
        assert not thread.is_alive()

    written = len(sink.written)
    commit.submit(2)
    eventually(lambda: 2 in sink.written)
    assert written > 0
    assert commit.close(5) == 0


def test_items_that_meet_locks_for_long_are_logged_once(
    sink: Sink, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.runtime.group_commit._LONG_SECONDS", 0.5)
    locked, tries = True, 0

    def write(items: Sequence[int]) -> None:
        nonlocal tries
        if locked and 1 in items:
            tries += 1
            raise PostgresBusyError("lock timeout")
        sink.write(items)

    commit = GroupCommit[int]("reports", write)
    commit.start()
    commit.submit(1)
    eventually(lambda: "Some of the reports wait for row locks" in caplog.text)
    before = tries
    eventually(lambda: tries > before + 4)
    locked = False

    assert commit.close(5) == 0
    assert sink.written == [1]
    assert len(caplog.records) == 1


class MissingRight:
    """A right that all items lack, or those that end in `digits`. `stuck` has what was passed to `on_stuck`."""

    def __init__(self, sink: Sink, *digits: int) -> None:
        self.sink = sink
        self.digits: tuple[int, ...] = digits
        self.of_all = False
        self.stuck: list[int] = []
        self.tries = 0

    def write(self, items: Sequence[int]) -> None:
        self.sink.open.wait(10)
        self.tries += 1
        if self.of_all or any(item % 10 in self.digits for item in items):
            raise RightsError("permission denied for table invoices")
        if items:
            self.sink.write(items)

    def commit(self, *items: int) -> GroupCommit[int]:
        commit = GroupCommit[int](
            "reports",
            self.write,
            on_stuck=lambda item, _: self.stuck.append(item),
            may_be_of_an_item=lambda error: isinstance(error, RightsError),
            probe=lambda _: self.write([]),
        )
        self.sink.open.clear()
        for item in items:
            commit.submit(item)
        commit.start()
        self.sink.open.set()
        return commit


@pytest.mark.parametrize("items", [[2], [1, 2, 3]])
def test_an_item_that_lacks_a_right_others_do_not_need_is_passed_to_on_stuck(sink: Sink, items: list[int]) -> None:
    missing = MissingRight(sink, 2)
    commit = missing.commit(*items)

    eventually(lambda: missing.stuck == [2] and len(sink.written) == len(items) - 1)

    assert commit.close(5) == 0
    assert missing.stuck == [2]


def test_while_all_items_lack_a_right_they_wait_and_none_is_written_by_itself(
    sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    missing = MissingRight(sink)
    missing.of_all = True
    commit = missing.commit(*range(200))

    eventually(lambda: "permission denied" in str([vars(one).get("reason") for one in caplog.records]))
    eventually(lambda: missing.tries >= 6)
    assert missing.tries <= 10
    missing.of_all = False

    eventually(lambda: sink.written == list(range(200)), seconds=5)
    assert missing.stuck == []
    assert commit.close(5) == 0


def test_items_wait_when_a_right_is_revoked_for_all_between_group_and_single_writes(sink: Sink) -> None:
    """The group fails because of one item; before the items are written by themselves, all lack the right."""
    missing = MissingRight(sink, 2)
    write = sink.write

    def write_and_revoke(items: Sequence[int]) -> None:
        write(items)
        missing.of_all = True

    sink.write = write_and_revoke  # type: ignore[method-assign]
    commit = missing.commit(1, 2, 3)
    eventually(lambda: missing.of_all)
    sink.write = write  # type: ignore[method-assign]
    missing.digits = ()
    missing.of_all = False

    eventually(lambda: set(sink.written) == {1, 2, 3})
    assert missing.stuck == []
    assert commit.close(5) == 0
