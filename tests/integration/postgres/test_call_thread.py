"""One thread makes the calls of many, which may be interrupted or lose their store."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from dramatiq.middleware import Interrupt, raise_thread_exception

from bridge.errors import BridgeError, PostgresUnavailableError
from bridge.postgres.call_thread import CallThread
from bridge.postgres.link import Link
from tests.support.rows import Rows
from tests.support.waiting import eventually

NOWHERE = "postgresql://nobody@127.0.0.1:9/none"


@pytest.fixture
def calls(dsn: str) -> Iterator[CallThread]:
    calls = CallThread(dsn, "shared")
    yield calls
    calls.close()


def now(link: Link) -> list[object]:
    return [*link.connection.execute("SELECT 1 AS n").fetchall()]


def test_many_threads_share_one_connection(calls: CallThread, rows: Rows) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: calls.call(now), range(100)))

    assert answers == [[{"n": 1}]] * 100
    assert rows.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mobvibe shared'") == 1


def test_an_error_of_a_call_is_its_caller_s(calls: CallThread) -> None:
    def refuse(link: Link) -> None:
        raise BridgeError("not this one")

    with pytest.raises(BridgeError, match="not this one"):
        calls.call(refuse)
    with pytest.raises(ZeroDivisionError):
        calls.call(lambda _: 1 // 0)
    assert calls.call(now)


def test_a_call_is_made_again_while_its_caller_is_patient(calls: CallThread) -> None:
    tries = list[float]()

    def fail_twice(link: Link) -> str:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise PostgresUnavailableError("away")
        return "back"

    assert calls.call(fail_twice) == "back"
    assert len(tries) == 3


def test_patience_ends() -> None:
    began = time.monotonic()

    with pytest.raises(PostgresUnavailableError):
        CallThread(NOWHERE, "shared").call(now, patience_seconds=0.5)

    assert time.monotonic() - began < 5


def test_an_interrupted_caller_leaves_the_others_alone(calls: CallThread) -> None:
    begun, may_end, raised = threading.Event(), threading.Event(), list[str]()

    def slow(link: Link) -> None:
        begun.set()
        may_end.wait(10)

    def caller() -> None:
        try:
            calls.call(slow)
        except Interrupt as error:
            raised.append(type(error).__name__)

    thread = threading.Thread(target=caller)
    thread.start()
    assert begun.wait(10)
    raise_thread_exception(thread.ident, Interrupt)
    eventually(lambda: raised == ["Interrupt"], what="the interrupt, while the call lasts")
    may_end.set()

    assert calls.call(now) == [{"n": 1}]
    thread.join(10)
