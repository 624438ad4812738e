"""A Redis user with exactly the documented rule is enough; with less, the error names what is missing."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from bridge.cli.doctor_redis import examine_redis
from bridge.dev.embedded.server import pick_port
from bridge.errors import RedisAccessError
from bridge.postgres.startup_checks import mark_of_database
from bridge.settings import Settings
from bridge.transport.client import connect_redis
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.rights import COMMANDS, OPTIONAL, rule
from bridge.transport.server_check import check_usable
from bridge.web.services import Services
from tests.support import redis_servers
from tests.support.commands import PLAIN, mobvibe
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.waiting import eventually

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "redis.md"


class User:
    """The documented user, on a server of this test's own."""

    def __init__(self, port: int) -> None:
        self.url = f"redis://mobvibe:PASSWORD@127.0.0.1:{port}/0"
        self._admin: Any = redis.Redis(port=port, protocol=2)
        self._line = next(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("ACL SETUSER"))
        self.restore()

    def restore(self) -> None:
        self._admin.execute_command(*self._line.split())

    def change(self, *rules: str) -> None:
        self._admin.execute_command("ACL", "SETUSER", "mobvibe", *rules)

    def denials(self) -> list[str]:
        """The names of what was refused since the last `restore`."""
        return [entry["object"] for entry in self._admin.acl_log()]


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with redis_servers.server(tmp_path / "redis") as port:
        yield User(port)


@pytest.fixture
def ours(settings: Settings, user: User) -> Settings:
    return settings.model_copy(update={"redis_url": SecretStr(user.url)})


def refusal(url: str) -> str:
    """The error of `run` and `worker` for this address."""
    with connect_redis(url) as client, pytest.raises(RedisAccessError) as caught:
        check_usable(client, "mobvibe", DatabaseMark(client, "mobvibe", "id name"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_rule_in_the_docs_is_the_one_that_is_printed() -> None:
    assert f"```\n{rule('mobvibe')}\n```" in PAGE.read_text("utf-8")


def test_every_command_of_the_scripts_is_in_the_rule() -> None:
    texts = [one.read_text("utf-8") for one in resources.files("bridge.transport").joinpath("lua").iterdir()]
    called = {name for text in texts for name in re.findall(r'redis\.p?call\("(\w+)"', text)}

    assert len(called) > 15
    assert called <= set(COMMANDS)


def test_a_user_with_the_rule_of_the_docs_can_do_everything(
    user: User, ours: Settings, rows: Rows, dsn: str, new_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    jobs = [rows.add_job(actor="double", queue="tests", payload={"n": n}) for n in range(20)]
    failing = rows.add_job(actor="explode", queue="tests", max_retries=1)
    fleet = new_fleet(redis_url=ours.redis_url, monitor_interval_ms=1000)
    fleet.start_worker()
    fleet.start_bridge().check()

    eventually(lambda: {rows.status(job) for job in jobs} == {"completed"} and rows.status(failing) == "failed")
    findings = json.loads(mobvibe("doctor", "--json", cwd=tmp_path, DATABASE_URL=dsn, REDIS_URL=user.url).out)
    assert [one for one in findings if one["state"] == "fail"] == []
    assert "its user may do what is needed on mobvibe:*" in str(findings)
    assert set(Services(fleet.settings).readiness.get().checks.values()) == {"ok"}
    fleet.stop()
    assert user.denials() == []


def test_each_missing_command_is_named_with_the_whole_rule(user: User, ours: Settings) -> None:
    for command in COMMANDS:
        user.restore()
        user.change(f"-{command}")

        line = refusal(user.url)
        (found,) = [one for one in examine_redis(ours) if one.state == "fail"]

        if command == "ping":  # sent first, by the check that the server answers
            lacks = "its user lacks rights (User mobvibe has no permissions to run the 'ping' command)"
            assert line.startswith(lacks)
            assert lacks in found.found
        else:
            assert line == f"Its user lacks +{command}. Paste this into redis-cli, with its password: {rule('mobvibe')}"
            assert found.found == f"its user lacks +{command}"
        assert found.fix == rule("mobvibe")


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (("resetkeys", "~elsewhere:*"), "~mobvibe:*"),
        (("resetchannels", "&elsewhere:*"), "&mobvibe:*"),
        (("resetchannels", "-zadd", "-lpush"), "&mobvibe:* +lpush +zadd"),
    ],
)
def test_missing_patterns_are_named(user: User, ours: Settings, change: tuple[str, ...], missing: str) -> None:
    user.change(*change)

    line = refusal(user.url)
    (found,) = [one for one in examine_redis(ours) if one.state == "fail"]

    assert line == f"Its user lacks {missing}. Paste this into redis-cli, with its password: {rule('mobvibe')}"
    assert (found.found, found.fix) == (f"its user lacks {missing}", rule("mobvibe"))


def test_optional_commands_may_be_forbidden(user: User, ours: Settings, dsn: str) -> None:
    user.change(*(f"-{name}" for name in OPTIONAL))

    with connect_redis(user.url) as client:
        check_usable(client, "mobvibe", DatabaseMark(client, "mobvibe", mark_of_database(dsn)))

    warned = [one.found for one in examine_redis(ours) if one.state != "ok"]
    assert warned == ["its version and role may not be asked for (INFO)", "its memory policy may not be asked for"]


@pytest.mark.parametrize(
    ("command", "change", "expected"),
    [
        ("run", "-zadd", "Its user lacks +zadd. Paste this into redis-cli"),
        ("worker", "resetkeys", "Its user lacks ~mobvibe:*. Paste this into redis-cli"),
        ("dramatiq", "resetchannels", "Its user lacks &mobvibe:*. Paste this into redis-cli"),
        ("web", "-ping", "its user lacks rights (User mobvibe has no permissions to run the 'ping' command)"),
    ],
)
def test_each_process_names_in_one_line_what_is_missing_and_ends(
    user: User, dsn: str, tmp_path: Path, command: str, change: str, expected: str
) -> None:
    (tmp_path / "topic.py").write_text("from bridge.broker import connect_broker\nconnect_broker()\n")
    user.change(change)
    program = ["dramatiq", "topic", "-p1", "-t1"] if command == "dramatiq" else ["bridge", command]

    ended = run(
        [sys.executable, "-m", *program],
        cwd=tmp_path,
        env=PLAIN | {
            "DATABASE_URL": dsn, "REDIS_URL": user.url, "ACTORS_MODULE": "topic", "LOG_FORMAT": "json",
            "HEALTH_CHECK_PORT": str(pick_port()), "SUPABASE_JWT_SECRET": "s" * 40,
        },
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert ended.returncode == RedisAccessError.exit_code, ended.stderr
    assert len([line for line in ended.stderr.splitlines() if expected in line]) == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "unreachable" not in ended.stderr


def test_a_revoked_right_is_not_an_outage_and_jobs_run_when_it_is_granted_again(
    user: User, ours: Settings, rows: Rows, new_fleet: Callable[..., Fleet], caplog: pytest.LogCaptureFixture
) -> None:
    def reasons() -> set[str]:
        return {str(vars(one)["reason"]) for one in caplog.records if "refuses this user" in one.getMessage()}

    new_fleet(redis_url=ours.redis_url).start()
    user.change("-evalsha")
    job = rows.add_job(actor="double", queue="tests", payload={"n": 1})
    eventually(lambda: len([one for one in caplog.records if "refuses this user" in one.getMessage()]) > 1)
    assert all("no permissions to run the 'evalsha' command" in reason for reason in reasons()), reasons()
    assert "unreachable" not in caplog.text

    user.restore()

    eventually(lambda: rows.status(job) == "completed")
