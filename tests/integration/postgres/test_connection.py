"""Links that go dead without a word, or are slow: noticed by a bound on every answer, replaced, and nothing is lost."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from bridge.errors import PostgresUnavailableError
from bridge.postgres.attempts import AttemptBook, Held
from bridge.postgres.connection import found_dead
from bridge.postgres.link import Link
from bridge.transport.client import connect_redis
from bridge.transport.wakeups import WakeUps
from bridge.worker.abilities import WorkerAbilities
from bridge.worker.heartbeat import Heartbeat
from bridge.worker.runs import Runs
from tests.support.fleet import Fleet
from tests.support.hands import Hands
from tests.support.invariants import check_invariants
from tests.support.proxy import Proxy
from tests.support.rows import Rows
from tests.support.waiting import eventually


def proxy_before(url: str) -> Proxy:
    address = urlsplit(url)
    assert address.hostname
    assert address.port
    return Proxy((address.hostname, address.port))


def by_way_of(proxy: Proxy, url: str) -> str:
    return url.replace(urlsplit(url).netloc.rpartition("@")[2], f"127.0.0.1:{proxy.port}")


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    proxy = proxy_before(dsn)
    yield proxy
    proxy.close()


@pytest.fixture
def by_proxy(proxy: Proxy, dsn: str) -> str:
    return by_way_of(proxy, dsn)


def test_a_statement_on_a_dead_link_gives_up_and_the_next_one_works(proxy: Proxy, by_proxy: str) -> None:
    link = Link(by_proxy, "test", statement_timeout_ms=200)
    assert link.call("ping")
    proxy.go_dead()
    began = time.monotonic()

    with pytest.raises(PostgresUnavailableError, match=r"no answer for 1\.7 s"):
        link.call("ping")

    assert 1.6 < time.monotonic() - began < 3
    assert link.call("ping")
    link.close()


def test_a_transaction_on_a_dead_link_gives_up_as_well(proxy: Proxy, by_proxy: str) -> None:
    link = Link(by_proxy, "test", statement_timeout_ms=200)

    def work() -> None:
        with link.transaction():
            proxy.go_dead()
            link.call("ping")

    with pytest.raises(PostgresUnavailableError, match="no answer"):
        work()

    assert link.call("ping")
    link.close()


def test_a_statement_that_takes_long_is_ended_by_postgres_and_its_link_stays(proxy: Proxy, by_proxy: str) -> None:
    link = Link(by_proxy, "test", statement_timeout_ms=200)
    connection = link.connection

    with pytest.raises(PostgresUnavailableError, match="statement timeout"), link.transaction() as inside:
        inside.execute("SELECT pg_sleep(60)")

    assert link.connection is connection
    link.close()


def test_the_server_notices_a_client_that_is_gone_too(link: Link) -> None:
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")

    with link.transaction() as connection:
        found = [connection.execute("SELECT current_setting(%s) AS is", [name]).fetchone() for name in names]

    assert [row and row["is"] for row in found] == ["5", "2", "3", "10000"]


def test_every_link_of_bridge_and_worker_is_replaced_when_it_goes_dead(
    new_fleet: Callable[..., Fleet], rows: Rows, proxy: Proxy, by_proxy: str
) -> None:
    fleet = new_fleet(database_url=SecretStr(by_proxy), poll_interval_ms=2000).start()
    first = rows.add_job(actor="double", queue="tests", payload={"n": 1})
    eventually(lambda: rows.job(first)["status"] == "completed")

    dead = proxy.go_dead()
    jobs = [rows.add_job(actor="double", queue="tests", payload={"n": n}) for n in range(20)]

    assert len(dead) >= 7, "dispatcher, recovery, monitor, listener; heartbeat, starts, reports"
    eventually(lambda: all(rows.job(job_id)["status"] == "completed" for job_id in jobs), seconds=20)
    # The monitor and the reconciler have nothing to say for a while, and nobody waits for them.
    eventually(
        lambda: sum(not link.client_hung_up.is_set() for link in dead) <= 2, seconds=15, what="the clients to hang up"
    )
    assert rows.value("SELECT count(*) FROM workers WHERE stop_reason = 'lost'") == 0
    assert fleet.doings.interrupted == []
    check_invariants(rows)


class Unlucky(Runs):
    """Another link of the process is found dead when a heartbeat is about to say what runs."""

    def __init__(self, in_the_midst: Callable[[], None]) -> None:
        super().__init__()
        self._in_the_midst = in_the_midst

    def held(self) -> list[Held]:
        self._in_the_midst()
        return super().held()


def new_heartbeat(dsn: str, runs: Runs | None = None) -> Heartbeat:
    book, abilities = AttemptBook(Link(dsn, "heartbeat")), WorkerAbilities(1, ["tests"], {})
    return Heartbeat(book, runs or Runs(), abilities, lambda _: None, lease_seconds=30)


@pytest.mark.parametrize("when", ["before a heartbeat", "in the midst of it"])
def test_a_heartbeat_over_a_new_link_shows_its_workers_life_at_once(
    hands: Hands, rows: Rows, dsn: str, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    server = hands.link.connection.info

    def find_dead() -> None:
        monkeypatch.setitem(found_dead, (server.host, server.port), time.monotonic())

    runs = Runs() if when == "before a heartbeat" else Unlucky(find_dead)
    heartbeat = new_heartbeat(dsn, runs)
    heartbeat.open()
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
    eventually(lambda: rows.value("SELECT heartbeat_at > started_at FROM workers"), what="the first heartbeat")
    before = rows.value("SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = 'mobvibe heartbeat'")
    find_dead()
    heartbeat.drain()
    eventually(lambda: rows.value("SELECT draining FROM workers"), what="the next heartbeat")
    eventually(lambda: rows.value(sessions, [before]) == 0, what="the end of the old session and its lock")

    eventually(lambda: hands.queue.watch_links(confirm=timedelta(hours=1)) == 0, seconds=1, what="a sign of life")
    heartbeat.close(5)


def test_a_worker_whose_slow_link_breaks_is_not_taken_for_dead(
    hands: Hands, rows: Rows, proxy: Proxy, by_proxy: str
) -> None:
    heartbeat = new_heartbeat(by_proxy)
    heartbeat.open()
    eventually(lambda: rows.value("SELECT heartbeat_at > started_at FROM workers"), what="the first heartbeat")
    proxy.delay_seconds = 0.2
    heartbeat.drain()
    eventually(lambda: rows.value("SELECT link_patience >= '4 s' FROM workers"), what="word that the link is slow")

    rows.all(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'mobvibe heartbeat' AND datname = current_database()"
    )

    def without() -> int:
        return hands.queue.watch_links(confirm=timedelta(seconds=1))

    eventually(lambda: without() == 1, what="the end of the link to be seen")
    eventually(lambda: without() == 0, what="its lock to be taken again")
    assert rows.value("SELECT linked AND stopped_at IS NULL FROM workers")
    heartbeat.close(5)


def test_wake_ups_over_a_dead_link_are_heard_again(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.transport.wakeups.PROBE_SECONDS", 0.3)
    monkeypatch.setattr("bridge.transport.wakeups._ECHO_SECONDS", 0.6)
    proxy = proxy_before(redis_url)
    heard: list[str | None] = []
    wake_ups = WakeUps(connect_redis(by_way_of(proxy, redis_url), timeout_seconds=1), "channel", heard.append)
    wake_ups.start()
    assert wake_ups.subscribed.wait(5)
    with connect_redis(redis_url) as client, client.pubsub() as echoes:
        client.publish("channel", "before")
        eventually(lambda: heard == [None, "before"])
        echoes.psubscribe("channel:*")
        for _ in range(3):  # it says its third word only if it heard the ones before
            eventually(lambda: (echoes.get_message(timeout=1) or {"type": ""})["type"] == "pmessage")
        assert heard == [None, "before"], "nothing begins anew"
        proxy.go_dead()

        eventually(lambda: heard[2:] == [None], what="a new subscription, and one look for what was missed")
        client.publish("channel", "after")
        eventually(lambda: heard[3:] == ["after"])
    wake_ups.close()
    proxy.close()
