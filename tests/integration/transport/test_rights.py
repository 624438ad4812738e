"""Redis commands that a server does not allow: which are needed, and what still works without the others."""

from unittest.mock import Mock

import pytest
from pydantic import SecretStr

from bridge.cli.doctor_redis import examine_redis
from bridge.cli.finding import Finding
from bridge.errors import RedisUnfitError
from bridge.settings import Settings
from bridge.transport.client import connect_redis
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.publisher import Publisher
from bridge.transport.server_check import check_usable
from bridge.transport.wakeups import WakeUps
from tests.support.redis_servers import Open, refusal
from tests.support.waiting import eventually


def findings(settings: Settings, url: str) -> list[Finding]:
    return list(examine_redis(settings.model_copy(update={"redis_url": SecretStr(url)})))


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("EVALSHA", "EVALSHA (every hand-over is a script)"),
        ("SCRIPT", "SCRIPT LOAD (every hand-over is a script)"),
        ("PUBLISH", "PUBLISH (it wakes the workers)"),
        ("SET", "SET (for queues)"),
        ("ZADD", "ZADD (for queues)"),
    ],
)
def test_a_renamed_command_that_is_needed_is_named(plain: Open, settings: Settings, command: str, named: str) -> None:
    url = f"redis://127.0.0.1:{plain(f'rename-command {command} hidden')}/0"

    assert isinstance(error := refusal(url), RedisUnfitError), error
    assert f"it does not know {named}: take its rename-command out" in str(error)
    (found,) = [one for one in findings(settings, url) if one.state == "fail"]
    assert (found.check, found.found) == ("redis rights", f"the server does not know {named}")


def test_no_job_is_claimed_for_a_server_that_came_back_without_a_command(plain: Open) -> None:
    url = f"redis://127.0.0.1:{plain('rename-command EVALSHA hidden')}/0"

    with connect_redis(url) as client, pytest.raises(RedisUnfitError, match="EVALSHA"):
        Publisher(client, "mobvibe").check()  # which the dispatcher calls after a failure, before it claims


def test_optional_commands_may_be_renamed(plain: Open, settings: Settings) -> None:
    renamed = ("CONFIG", "INFO", "CLIENT", "KEYS", "FLUSHALL", "FLUSHDB")
    url = f"redis://127.0.0.1:{plain(*(f'rename-command {name} {chr(34) * 2}' for name in renamed))}/0"

    with connect_redis(url) as client:
        check_usable(client, "mobvibe", DatabaseMark(client, "mobvibe", "id name"))

    warned = [one.found for one in findings(settings, url) if one.check == "redis" and one.state == "warn"]
    assert warned == ["its version and role may not be asked for (INFO)", "its memory policy may not be asked for"]


def test_without_subscribe_a_process_polls_and_logs_that_once(
    plain: Open, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"redis://127.0.0.1:{plain('rename-command SUBSCRIBE hidden')}/0"

    with connect_redis(url) as client:
        check_usable(client, "mobvibe", DatabaseMark(client, "mobvibe", "id name"))
        tries = Mock(wraps=client.pubsub)
        client.pubsub = tries
        wakeups = WakeUps(client, "mobvibe:__wake__", lambda _: None)
        wakeups.start()
        eventually(lambda: tries.call_count > 3)
        wakeups.close()

    assert [record.message for record in caplog.records] == ["Wake-ups cannot be received, polling instead"]
    (found,) = [one for one in findings(settings, url) if one.check == "redis rights"]
    assert (found.state, "SUBSCRIBE" in found.found) == ("warn", True)
