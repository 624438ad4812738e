"""Dead or slow links are noticed by a time limit on every answer, and replaced; nothing is lost."""

import time
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from bridge.errors import PostgresUnavailableError
from bridge.postgres.link import Link
from tests.support.fleet import Fleet
from tests.support.invariants import check_invariants
from tests.support.proxy import Proxy
from tests.support.rows import Rows
from tests.support.waiting import eventually


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


def test_a_slow_statement_is_ended_by_postgres_and_its_link_is_kept(proxy: Proxy, by_proxy: str) -> None:
    link = Link(by_proxy, "test", statement_timeout_ms=200)
    connection = link.connection

    with pytest.raises(PostgresUnavailableError, match="statement timeout"), link.transaction() as inside:
        inside.execute("SELECT pg_sleep(60)")

    assert link.connection is connection
    link.close()


def test_the_server_notices_a_client_that_has_gone(link: Link) -> None:
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
    # The monitor and the reconciler send nothing for a while, so they are not waited for.
    eventually(
        lambda: sum(not link.client_hung_up.is_set() for link in dead) <= 2, seconds=15, what="the clients to hang up"
    )
    assert rows.value("SELECT count(*) FROM workers WHERE stop_reason = 'lost'") == 0
    assert fleet.actor_log.interrupted == []
    check_invariants(rows)
