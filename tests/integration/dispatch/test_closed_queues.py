"""A queue whose key is somebody else's: it alone is not claimed for."""

from bridge.transport.client import connect_redis
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.waiting import eventually


def test_a_closed_queue_is_claimed_for_once_and_the_others_go_on(fleet: Fleet, rows: Rows, redis_url: str) -> None:
    with connect_redis(redis_url) as client:
        client.set("mobvibe:tests", "theirs")
    stopped = [rows.add_job(actor="double", queue="tests", payload={"n": 21}) for _ in range(3)]
    eventually(lambda: any(rows.job(job_id)["fence"] for job_id in stopped))

    others = [rows.add_job(actor="plain", queue="default", payload={"args": []}) for _ in range(20)]
    eventually(lambda: all(rows.status(job_id) == "completed" for job_id in others), seconds=20)

    claims = [rows.job(job_id)["fence"] for job_id in [*stopped, *others]]
    assert max(claims) <= 2, claims
