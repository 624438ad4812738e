"""The command line over real stores: data on stdout, messages on stderr, one line and an exit code for mistakes."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bridge.errors import RedisUnavailableError
from bridge.transport.client import check_redis, connect_redis
from tests.support.commands import Run, mobvibe
from tests.support.rows import Rows


def test_help_and_version_need_nothing(tmp_path: Path) -> None:
    help_ = mobvibe("--help", cwd=tmp_path)
    assert help_.code == 0
    for command in (
        "up",
        "run",
        "worker",
        "web",
        "migrate",
        "jobs",
        "queues",
        "status",
        "doctor",
        "healthcheck",
        "config",
    ):
        assert f"\n  {command} " in help_.out
    assert mobvibe("--version", cwd=tmp_path).out.startswith("mobvibe, version ")


@pytest.mark.parametrize("command", [("run",), ("worker",), ("web",), ("migrate", "up"), ("jobs", "list"), ("status",)])
def test_a_missing_address_is_one_line_and_exit_code_1(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = mobvibe(*command, cwd=tmp_path)

    assert result.code == 1
    assert result.one_line().startswith("mobvibe: DATABASE_URL is missing: set it in the environment or in .env")
    assert "REDIS_URL is missing, too" in result.one_line()
    assert result.out == ""


def test_a_missing_redis_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    result = mobvibe("run", cwd=tmp_path, DATABASE_URL="postgresql://u@h/d")

    assert (result.code, result.one_line()[:31]) == (1, "mobvibe: REDIS_URL is missing: ")


def test_a_malformed_setting_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    result = mobvibe("run", cwd=tmp_path, DATABASE_URL="postgresql://u:gehe@im@h/d", POLL_INTERVAL_MS="x")

    assert result.code == 1
    assert "DATABASE_URL cannot be read" in result.one_line()
    assert "POLL_INTERVAL_MS must be a whole number" in result.one_line()
    assert "gehe" not in result.err


@pytest.mark.parametrize(
    ("query", "message"),
    [("schema=public", "DATABASE_URL has the option 'schema'"), ("connect_timeout=x", "connect_timeout")],
)
def test_an_option_that_postgres_does_not_know_is_one_line(tmp_path: Path, query: str, message: str) -> None:
    result = mobvibe("status", cwd=tmp_path, DATABASE_URL=f"postgresql://u:geheim@127.0.0.1:9/d?{query}")

    assert (result.code, message in result.one_line(), "geheim" in result.err) == (1, True, False)


@pytest.mark.parametrize("host", ["a" * 70, "a b", "a..b"])
def test_a_host_that_cannot_exist_is_one_line(run: Run, host: str) -> None:
    serving = run("web", BIND_HOST=host, SUPABASE_JWT_SECRET="s" * 40)
    assert (serving.code, serving.one_line()) == (1, f"mobvibe: BIND_HOST {host} is not an address of this machine.")

    asking = run("healthcheck", BIND_HOST=host)
    assert (asking.code, asking.one_line()[:28]) == (1, "mobvibe: no answer at http:/")


@pytest.mark.parametrize(
    "words", ["jobs list", "jobs show", "status", "queues", "doctor", "doctor --database", "migrate status"]
)
def test_commands_work_in_a_database_with_other_defaults(run: Run, dsn: str, rows: Rows, words: str) -> None:
    job_id = rows.add_job(prompt="grüße", run_at="2999-01-01")
    name = urlsplit(dsn).path[1:]
    for setting in (
        "DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "TimeZone = 'America/St_Johns'",
        "client_encoding = 'LATIN1'", "standard_conforming_strings = off", "search_path = nowhere",
        "array_nulls = off", "default_transaction_isolation = serializable",
    ):  # fmt: skip
        rows.all(f"ALTER DATABASE {name} SET {setting}")

    job = [str(job_id)] if "show" in words else []
    result = run(*words.split(), *job, DATABASE_URL=dsn)  # where no pooler keeps us from setting ours

    assert result.code == (1 if words == "doctor" else 0), result.out + result.err  # it misses workers
    assert "Traceback" not in result.err
    assert words != "jobs show" or "2999-01-01" in result.out


def test_a_redis_address_that_leads_to_postgres_is_named(dsn: str) -> None:
    client = connect_redis(f"redis://{urlsplit(dsn).hostname}:{urlsplit(dsn).port}/0")

    with pytest.raises(RedisUnavailableError, match=r"Is it Redis, and does it want TLS \(rediss://\)\?"):
        check_redis(client)
    client.close()


def test_an_unreachable_postgres_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    result = mobvibe("status", cwd=tmp_path, DATABASE_URL="postgresql://u:geheim@127.0.0.1:9/d")

    assert result.code == 3
    assert "refused" in result.one_line()
    assert "geheim" not in result.err


def test_an_unmigrated_database_is_one_line_and_exit_code_4(tmp_path: Path, empty_dsn: str, redis_url: str) -> None:
    result = mobvibe("run", cwd=tmp_path, DATABASE_URL=empty_dsn, REDIS_URL=redis_url)

    assert (result.code, result.one_line()) == (
        4,
        "mobvibe: The database is not set up for the bridge. Run: mobvibe migrate up",
    )


def test_a_newer_schema_is_one_line_and_exit_code_4(run: Run, rows: Rows) -> None:
    rows.all("CREATE OR REPLACE FUNCTION mobvibe_schema_version() RETURNS integer LANGUAGE sql AS 'SELECT 999'")

    result = run("run")

    assert result.code == 4
    assert "schema 999, newer than this version knows" in result.one_line()


def test_a_similar_setting_is_suggested_for_a_probable_typing_error(run: Run, empty_dsn: str) -> None:
    result = run("run", DATABASE_URL=empty_dsn, POLL_INTERVAL_SEC="5")

    assert "POLL_INTERVAL_SEC is not a setting; did you mean POLL_INTERVAL_MS?" in result.err


def test_config_says_which_secret_comes_from_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://app:geheim@db:5432/d\n")

    result = run("config", DATABASE_URL="", DATABASE_URL_FILE=str(tmp_path / "url"))

    assert re.search(
        r"^DATABASE_URL +postgresql://app:\*\*\*@db:5432/d  \(from DATABASE_URL_FILE\)$", result.out, re.MULTILINE
    )
    assert "geheim" not in result.out + result.err


def test_a_healthcheck_without_a_web_process_fails_in_one_line(run: Run, taken_port: int) -> None:
    result = run("healthcheck", "live", HEALTH_CHECK_PORT="9")

    assert result.code == 1
    assert "no answer at http://127.0.0.1:9/livez" in result.one_line()
