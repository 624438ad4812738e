"""What a worker process does before its first job, and how it ends while jobs still run."""

import pytest
from pydantic import SecretStr

from bridge.broker import connect_broker
from bridge.errors import NamespaceTakenError, SchemaError
from bridge.settings import Settings
from bridge.worker import boot
from tests.support.fleet import Add, NewFleet, process_of
from tests.support.rows import Rows
from tests.support.waiting import eventually


def test_a_database_without_the_schema_is_refused(settings: Settings, empty_dsn: str) -> None:
    elsewhere = settings.model_copy(update={"database_url": SecretStr(empty_dsn)})

    with pytest.raises(SchemaError, match="mobvibe migrate up"):
        boot.check_stores(elsewhere, connect_broker(elsewhere))


def test_a_namespace_of_another_database_is_refused(settings: Settings) -> None:
    broker = connect_broker(settings)
    broker.client.set("mobvibe:__database__", "4711 theirs")

    with pytest.raises(NamespaceTakenError, match="belongs to the database 'theirs'"):
        boot.check_stores(settings, broker)


def test_a_process_that_ends_hands_back_its_running_jobs(
    new_fleet: NewFleet, rows: Rows, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = new_fleet()
    worker = fleet.start_worker(threads=1)
    fleet.start_bridge()
    job_id = add("wait_at_gate")
    eventually(lambda: fleet.actor_log.starts(job_id) == 1)
    codes: list[int] = []
    monkeypatch.setattr("bridge.worker.boot.os._exit", codes.append)

    boot.leave_now(process_of(fleet), fleet.broker, worker, exit_code=3)

    assert codes == [3]
    assert rows.outcomes(job_id) == ["released"]
    assert rows.value("SELECT count(*) FROM workers WHERE stopped_at IS NULL") == 0
