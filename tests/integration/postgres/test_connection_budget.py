"""Fewer connections than needed: a warning at the start, an error line when none is free, and recovery afterwards."""

import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from bridge.errors import BridgeError, NoConnectionFreeError, PostgresUnavailableError
from bridge.postgres import connection_budget
from bridge.postgres.connection import found_dead
from bridge.postgres.connection_budget import nearest_limit
from bridge.postgres.errors import translate_postgres_errors
from bridge.postgres.link import Link
from bridge.postgres.startup_checks import check_database
from bridge.runtime.loop import Loop
from bridge.settings import Settings
from tests.support.fleet import Fleet
from tests.support.limited_role import LimitedRole
from tests.support.rows import Rows
from tests.support.waiting import eventually
from tests.support.web import WebProcess

NO_ANSWER_YET = b"R" + (8).to_bytes(4) + (0).to_bytes(4) + b"K" + (12).to_bytes(4) + bytes(8) + b"Z\0\0\0\5I"


class FullPooler:
    """Accepts every client and has no connection to Postgres for any: it makes them wait, as PgBouncer does."""

    def __init__(self, *, logs_in: bool) -> None:
        self._logs_in = logs_in
        self._clients: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.dsn = f"postgresql://me@127.0.0.1:{self._server.getsockname()[1]}/db?sslmode=disable"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self._clients.append(client)
            if self._logs_in:
                client.recv(4096)
                client.sendall(NO_ANSWER_YET)

    def close(self) -> None:
        for end in (self._server, *self._clients):
            end.close()


@pytest.fixture
def new_pooler() -> Iterator[Callable[..., FullPooler]]:
    poolers: list[FullPooler] = []

    def new_pooler(*, logs_in: bool) -> FullPooler:
        poolers.append(FullPooler(logs_in=logs_in))
        return poolers[-1]

    yield new_pooler
    for pooler in poolers:
        pooler.close()


def ours(rows: Rows) -> set[str]:
    names = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'mobvibe %'"
    return {row["application_name"] for row in rows.all(f"{names} AND datname = current_database()")}


def test_the_processes_open_as_many_connections_as_the_budget_says(new_fleet: Callable[..., Fleet], rows: Rows) -> None:
    fleet = new_fleet(monitor_interval_ms=1)  # so that its link is nearly always open
    fleet.start_bridge()
    eventually(lambda: len(ours(rows)) == connection_budget.BRIDGE, what="all links of the bridge")
    bridge = ours(rows)
    fleet.start_worker()
    fleet.broker.actors["plain"].send(1)
    job = rows.add_job(actor="double", queue="tests", payload={"n": 1})
    eventually(lambda: rows.job(job)["status"] == "completed")

    worker = {"mobvibe heartbeat", "mobvibe starts", "mobvibe reports", "mobvibe send"}
    eventually(lambda: worker <= ours(rows))
    assert len(worker) == connection_budget.WORKER_PROCESS
    eventually(lambda: ours(rows) == bridge | worker, what="only these links to be open")


def test_the_lowest_limit_is_found_without_counting_this_link(role: LimitedRole, rows: Rows) -> None:
    link, other = Link(role.dsn, "test"), Link(role.dsn, "other")
    other.call("ping")
    limit = nearest_limit(link)
    assert limit is not None
    assert limit.name == "max_connections, without those reserved for others"

    role.limit(6)
    limit = nearest_limit(link)
    assert limit is not None
    assert (limit.name, limit.most, limit.used, limit.free, limit.ours) == (
        f"CONNECTION LIMIT of role {role.name}",
        6,
        1,
        5,
        1,
    )

    rows.all(f"ALTER DATABASE {rows.value('SELECT current_database()')} CONNECTION LIMIT 4")
    limit = nearest_limit(link)
    assert limit is not None
    assert limit.name.startswith("CONNECTION LIMIT of database test_")
    assert (limit.most, limit.used, limit.free) == (4, 2, 2), "the test's own session counts, too"
    for one in (link, other):
        one.close()


def test_a_process_warns_in_one_line_when_fewer_are_free_than_it_opens(
    role: LimitedRole, caplog: pytest.LogCaptureFixture
) -> None:
    role.limit(6)
    check_database(role.dsn, connections=6)
    assert caplog.records == []

    role.limit(5)
    check_database(role.dsn, connections=6)

    (line,) = caplog.messages
    assert line.startswith(
        "This process opens up to 6 connections to Postgres, and 5 are free "
        f"(CONNECTION LIMIT of role {role.name}: 5, in use: 0): raise the limit"
    )


def test_bridge_and_worker_name_the_limit_and_continue_when_connections_are_free(
    new_fleet: Callable[..., Fleet], settings: Settings, role: LimitedRole, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    role.limit(3)
    fleet = new_fleet(database_url=SecretStr(role.dsn))
    fleet.start_bridge()
    short = "Postgres has no connection free, trying again until it is over"
    eventually(lambda: short in caplog.messages, what="the error about missing connections")

    role.limit(20)
    eventually(lambda: "Postgres has a connection free again" in caplog.messages, seconds=20, what="the end of it")
    fleet.start_worker()
    job = rows.add_job(actor="double", queue="tests", payload={"n": 1})
    eventually(lambda: rows.job(job)["status"] == "completed", seconds=20)

    assert caplog.messages.count(short) == 1, "logged once by all loops together"
    reasons = [str(getattr(one, "reason", "")) for one in caplog.records if one.getMessage() == short]
    assert "too many connections for role" in reasons[0]
    assert not any("unreachable" in text or "taken for dead" in text for text in caplog.messages)


def test_a_log_in_without_a_served_statement_is_not_a_dead_link(new_pooler: Callable[..., FullPooler]) -> None:
    pooler = new_pooler(logs_in=True)

    with pytest.raises(NoConnectionFreeError, match=r"no answer to the first statement for 1\.7 s.*mobvibe doctor"):
        Link(pooler.dsn, "test", statement_timeout_ms=200).call("ping")

    assert not found_dead.get(("127.0.0.1", int(pooler.dsn.rpartition(":")[2].partition("/")[0])))


def test_a_log_in_without_an_answer_is_reported_as_unreachable(new_pooler: Callable[..., FullPooler]) -> None:
    dsn = new_pooler(logs_in=False).dsn + "&connect_timeout=2"

    with pytest.raises(PostgresUnavailableError, match="Postgres hangs, or a pooler has no connection free"):
        Link(dsn, "test").call("ping")


def test_an_unanswered_log_in_while_other_links_work_is_a_lack_of_connections(
    new_pooler: Callable[..., FullPooler], monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = new_pooler(logs_in=False).dsn + "&connect_timeout=2"
    monkeypatch.setattr("bridge.postgres.connect.answered_at", {dsn: float("inf")})

    with pytest.raises(NoConnectionFreeError, match="while other links of this process work"):
        Link(dsn, "test").call("ping")


@pytest.mark.parametrize(
    ("error", "is_short"),
    [
        (psycopg.OperationalError('connection failed: FATAL:  too many connections for database "db"'), True),
        (psycopg.OperationalError("connection failed: FATAL:  sorry, too many clients already"), True),
        (
            psycopg.OperationalError("first\nFATAL:  remaining connection slots are reserved for roles with SUPERUSER"),
            True,
        ),
        (psycopg.errors.ProtocolViolation("query_wait_timeout"), True),
        (psycopg.OperationalError("FATAL:  no more connections allowed (max_client_conn)"), True),
        (psycopg.errors.InternalError_("MaxClientsInSessionMode: max clients reached"), True),
        (psycopg.errors.TooManyConnections("in any language"), True),
        (psycopg.OperationalError("connection refused"), False),
        (psycopg.errors.RaiseException("too many connections of this customer"), False),
    ],
)
def test_error_texts_of_servers_and_poolers_are_recognised(error: psycopg.Error, is_short: bool) -> None:
    with pytest.raises(BridgeError) as met, translate_postgres_errors():
        raise error

    assert isinstance(met.value, NoConnectionFreeError) is is_short


def test_the_web_process_names_the_limit_when_it_listens(role: LimitedRole, redis_url: str, tmp_path: Path) -> None:
    role.limit(8)
    web = WebProcess(role.dsn, redis_url, "a-secret-of-this-test-that-is-long-enough", tmp_path)
    try:
        eventually(lambda: "This process opens up to 9 connections to Postgres, and 8 are free" in web.log)
    finally:
        web.end()


def test_a_process_that_cannot_start_names_the_limit(role: LimitedRole, caplog: pytest.LogCaptureFixture) -> None:
    role.limit(0)

    with pytest.raises(NoConnectionFreeError, match=r"^Postgres at .* has no connection free: .*tried 2 times"):
        check_database(role.dsn, tries=2, rest=lambda _: None)

    (line,) = caplog.messages
    assert re.match(r"Postgres at .* has no connection free \(.*too many connections for role .*\), retry 1/2", line)


def test_retries_come_at_growing_intervals() -> None:
    def step() -> float:
        raise NoConnectionFreeError("full")

    loop = Loop("test", step)
    rests = [loop.run_once() for _ in range(60)]

    assert max(rests[:2]) < 0.5
    assert 2 < max(rests[6:]) < 6
