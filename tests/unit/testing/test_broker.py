"""Actors in a test, without stores: their jobs, and what they send."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import dramatiq
import dramatiq.broker
import pytest
from dramatiq import Message
from dramatiq.middleware import CurrentMessage

from bridge import Job, actor, current_job
from bridge.broker import connect_broker, connected_settings
from bridge.errors import DirectSendError, PayloadError
from bridge.job import Status
from bridge.settings import Settings
from bridge.testing import TestingBroker, run_job

SESSION = UUID(int=7)


def test_a_job_is_given_to_its_actor_and_its_result_comes_back(broker: TestingBroker) -> None:
    @actor
    def greet(job: Job) -> dict[str, Any]:
        assert current_job() is job
        return {"text": job.payload["text"], "prompt": job.prompt, "session": str(job.session_id), "fence": job.fence}

    ended = run_job(greet, {"text": "hello"}, prompt="speak", session_id=SESSION)

    assert ended.status is Status.COMPLETED
    assert ended.result == {"text": "hello", "prompt": "speak", "session": str(SESSION), "fence": 1}
    assert (ended.attempts, ended.error, list(ended.events)) == (1, None, [])


def test_an_async_actor_runs_too(broker: TestingBroker) -> None:
    @actor
    async def later(job: Job) -> Any:
        await asyncio.sleep(0)
        return current_job().payload["n"]

    assert run_job(later, {"n": 5}).result == 5
    assert run_job(later, {"n": 6}).result == 6


def test_a_payload_that_is_not_json_is_refused(broker: TestingBroker) -> None:
    @actor
    def no_json(job: Job) -> Any:
        return {"x": object()}

    @actor
    def bad_event(job: Job) -> None:
        job.emit("thinking", {"x": object()})

    assert "cannot be stored as JSON" in str(run_job(no_json).error)
    assert "cannot be stored as JSON" in str(run_job(bad_event, max_retries=1).error)
    with pytest.raises(PayloadError):
        run_job(no_json, {"x": object()})
    with pytest.raises(PayloadError):
        run_job(no_json, [1])  # type: ignore[arg-type]


def test_a_plain_actor_gets_its_call_and_dramatiqs_number_of_tries(broker: TestingBroker) -> None:
    @dramatiq.actor(max_retries=2)
    def add(a: int, b: int = 0) -> int:
        message: Any = CurrentMessage.get_current_message()
        assert message.actor_name == "add"
        return a + b

    @dramatiq.actor(max_retries=2)
    def explode() -> None:
        raise ValueError

    assert run_job(add, {"args": [1], "kwargs": {"b": 2}}).result == 3
    assert run_job(add, {"n": 1}).error == "bad payload: a plain actor takes 'args' and 'kwargs' only, not n"
    assert run_job(explode).attempts == 3


def test_a_sent_job_is_kept_and_runs_on_request(broker: TestingBroker) -> None:
    done: list[Any] = []

    @dramatiq.actor
    def second(result: Any) -> None:
        done.append(result)

    @dramatiq.actor(max_retries=0)
    def first(n: int) -> int:
        second.send(n)
        return 2 * n

    @actor
    def third(job: Job) -> None:
        done.append(job.payload)

    (first.message(1) | second.message()).run()  # type: ignore[call-arg]  # the pipeline gives it
    third.send({"x": 1})  # type: ignore[arg-type]  # what becomes the job's payload
    assert [message.actor_name for message in broker.sent] == ["first", "third"]

    statuses = [ended.status for ended in broker.run_sent()]

    assert statuses == [Status.COMPLETED] * 4
    assert done == [{"x": 1}, 1, 2]
    assert broker.sent == []


def test_send_refuses_a_message_that_cannot_be_a_job(broker: TestingBroker) -> None:
    @dramatiq.actor
    def plain(x: Any) -> None: ...

    with pytest.raises(DirectSendError):
        plain.send(object())
    with pytest.raises(dramatiq.ActorNotFound):
        broker.enqueue(Message(queue_name="default", actor_name="nobody", args=(), kwargs={}, options={}))


def test_connect_broker_gives_the_testing_broker(
    broker: TestingBroker, settings_elsewhere: Callable[[], Settings]
) -> None:
    assert connect_broker() is broker
    assert connected_settings() is broker.settings
    assert connect_broker(settings_elsewhere()) is not broker, "with addresses of stores it connects to them"


@pytest.fixture
def settings_elsewhere() -> Callable[[], Settings]:
    def make() -> Settings:
        return Settings(_env_file=None)  # type: ignore[call-arg]

    return make


def test_an_actor_of_another_broker_is_refused(broker: TestingBroker) -> None:
    elsewhere = connect_broker(Settings(_env_file=None))  # type: ignore[call-arg]

    @actor
    def stray(job: Job) -> None: ...

    assert stray.broker is elsewhere
    with pytest.raises(TypeError, match="connect_testing_broker"):
        run_job(stray)


ACTORS = """
from bridge import actor
from bridge.broker import connect_broker

connect_broker()


@actor
def greet(job):
    return f"hello {job.payload['name']}"
"""
TEST = """
from bridge.testing import run_job
from shop.jobs import greet


def test_greet():
    assert run_job(greet, {"name": "Ada"}).result == "hello Ada"
"""
CONFTEST = """
from bridge.testing import connect_testing_broker

connect_testing_broker()
"""


@pytest.mark.parametrize(
    ("conftest", "code", "expected"),
    [(CONFTEST, 0, "1 passed"), ("", 2, "In tests that need no stores: bridge.testing")],
    ids=["as documented", "without the conftest"],
)
def test_a_first_test_runs_in_a_package_outside_this_repository(
    tmp_path: Path, conftest: str, code: int, expected: str
) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "jobs.py").write_text(ACTORS)
    (tmp_path / "test_shop.py").write_text(TEST)
    (tmp_path / "conftest.py").write_text(conftest)

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path, env={"PATH": "", "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert ran.returncode == code, ran.stdout + ran.stderr
    assert expected in ran.stdout
    assert "INTERNALERROR" not in ran.stdout
