"""How a worker process handles repeated and forged messages."""

import dramatiq

from bridge.job import Claim
from bridge.transport.messages import seal
from tests.support.failover_loop import patient_client
from tests.support.fleet import Add, Fleet, finished
from tests.support.rows import Rows
from tests.support.waiting import eventually


def test_a_message_delivered_many_times_runs_once(fleet: Fleet, rows: Rows, add: Add, redis_url: str) -> None:
    job_id = add("wait_at_gate")
    eventually(lambda: fleet.actor_log.starts(job_id) == 1)
    client = patient_client(redis_url)
    name, payload = seal([Claim(job_id, 1, "tests", "wait_at_gate")])
    for _ in range(5):
        client.hset("mobvibe:tests.msgs", name, payload)
        client.rpush("mobvibe:tests", name)
    eventually(lambda: client.llen("mobvibe:tests") == 0)

    fleet.actor_log.gates["gate"].set()

    finished(rows, job_id)
    marker = add("double", {"n": 1})
    finished(rows, marker)
    assert fleet.actor_log.starts(job_id) == 1
    assert rows.outcomes(job_id) == ["completed"]


def test_forged_messages_run_no_job_and_affect_no_other(fleet: Fleet, rows: Rows, add: Add, redis_url: str) -> None:
    rows.all("UPDATE workers SET slots = slots")  # a live worker is there
    pending = rows.add_job(actor="double", queue="tests", run_at="2999-01-01")
    client = patient_client(redis_url)
    forged: dict[str, str | bytes] = {
        **dict([seal([Claim(pending, 1, "tests", "double")]), seal([Claim(pending, 7, "tests", "give_up")])]),
        "junk": b"\x80\x04junk",
        "plain": dramatiq.Message("tests", "plain", ("x",), {}, {"redis_message_id": "plain"}).encode(),
    }
    for name, payload in forged.items():
        client.hset("mobvibe:tests.msgs", name, payload)
        client.rpush("mobvibe:tests", name)

    real = add("double", {"n": 3})

    assert finished(rows, real)["result"] == {"twice": 6}
    eventually(lambda: client.hlen("mobvibe:tests.msgs") == 2, what="all of our messages to be acknowledged")
    job = rows.job(pending)
    assert (job["status"], job["fence"], job["exec"]) == ("pending", 0, None)
    assert fleet.actor_log.plain == []
    assert client.lrange("mobvibe:tests", 0, -1) == [b"junk", b"plain"], "of another application, and left alone"
    assert client.hgetall("mobvibe:tests.msgs") == {b"junk": forged["junk"], b"plain": forged["plain"]}
    assert not client.exists("mobvibe:tests.XQ")
