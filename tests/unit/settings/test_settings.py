"""Settings: defaults, where values come from, and one line for each mistake, without secrets."""

from pathlib import Path

import pytest

from bridge.errors import SettingsError
from bridge.settings import load_settings
from tests.support.malformed import refusal_of


def test_defaults_are_the_node_workers() -> None:
    settings = load_settings()

    assert (settings.poll_interval_ms, settings.max_concurrent_jobs, settings.shutdown_timeout_ms) == (
        10_000,
        1,
        30_000,
    )
    assert (settings.http_port, settings.log_level, settings.node_env) == (8080, "info", "development")
    assert settings.monitor_interval_ms == 30_000


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DATABASE_URL", "mysql://h/d", "DATABASE_URL begins with mysql://"),
        ("DATABASE_URL", "redis://h:1", "that is a Redis address"),
        ("DATABASE_URL", "host=h dbname=d", "DATABASE_URL is not a URL but key=value, which is not read"),
        ("DATABASE_URL", "postgresql://u:secret@h1:1,h2:2/db?target_session_attrs=any", "several hosts with ports"),
        ("DATABASE_URL", "postgresql://u:secret@h1,h2:2/db", "several hosts with ports"),
        ("DATABASE_URL", "postgresql://h1:1,h2:2/db", "several hosts with ports"),
        ("DATABASE_URL", "postgresql://u:secret,1:2/x@h/db", "if its password holds"),
        ("REDIS_URL", "host=h", "REDIS_URL is not a valid URL; expected redis://"),
        ("DATABASE_URL", "postgresql://u:geheim@@h/d", "percent code"),
        ("DATABASE_URL", "postgresql://u:geheim/x@h/d", "percent code"),
        ("DATABASE_URL", "postgresql://u:geheim%zz@h/d", "percent code"),
        ("DATABASE_URL", "postgresql://u:geheim#x@h/d", "percent code"),
        ("DATABASE_URL", "postgresql://", "names no host"),
        ("REDIS_URL", "postgresql://u:geheim@h/d", "that is a Postgres address"),
        ("REDIS_URL", "https://x", "that is a web address"),
        ("DATABASE_URL", "postgresql://u:geheim@a..b/d", "names a host that cannot exist"),
        ("DATABASE_URL", f"postgresql://u:geheim@{'a' * 70}/d", "names a host that cannot exist"),
        ("REDIS_URL", "redis://:geheim@a..b:6379", "names a host that cannot exist"),
        ("REDIS_URL", "redis://:geheim@h 1:6379/0", "has a blank in the name of a host"),
        ("REDIS_URL", "redis://:ge im@h: 6379/0", "has a blank in the name of a host"),
        ("REDIS_URL", "redis://h\t1/0", "has a blank in the name of a host"),
        ("REDIS_URL", "redis://h%20/0", "has a blank in the name of a host"),
        ("DATABASE_URL", "postgresql://u:geheim@h1, h2/d", "has a blank in the name of a host"),
        ("DATABASE_URL", "postgresql://u:geheim@h /d?options=a@b", "has a blank in the name of a host"),
        ("DATABASE_URL", "postgresql:///d?x=1&host=h%201", "has a blank in the name of a host"),
        ("DATABASE_URL", "postgresql://u:geheim x/y@h/d", "percent code"),
        ("REDIS_URL", "redis://h/jobs", "names a database that is not a number"),
        ("REDIS_URL", "redis://h?db=jobs", "names a database that is not a number"),
        ("REDIS_URL", "redis://h?decode_responses=yes", "has the option 'decode_responses', which is not known"),
        ("REDIS_URL", "redis://h?nonsense=1", "has the option 'nonsense', which is not known"),
        ("POLL_INTERVAL_MS", "9" * 5000, "POLL_INTERVAL_MS must be a whole number from 1 to 86400000"),
        ("POLL_INTERVAL_MS", "9" * 5000 + "s", "POLL_INTERVAL_MS must be a whole number from 1 to 86400000"),
        ("POLL_INTERVAL_MS", "0", "POLL_INTERVAL_MS must be a whole number from 1 to 86400000"),
        ("POLL_INTERVAL_MS", "-1", "POLL_INTERVAL_MS must be"),
        ("POLL_INTERVAL_MS", "NaN", "POLL_INTERVAL_MS must be"),
        ("POLL_INTERVAL_MS", "1e9", "POLL_INTERVAL_MS must be"),
        ("LEASE_MS", "999", "LEASE_MS must be a whole number from 1000 to 86400000"),
        ("MAX_CONCURRENT_JOBS", "many", "MAX_CONCURRENT_JOBS must be a whole number from 1 to 1000"),
        ("HEALTH_CHECK_PORT", "99999", "HEALTH_CHECK_PORT must be a whole number from 1 to 65535"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of"),
        ("JOB_TIMEOUT_MS", "0", "JOB_TIMEOUT_MS must be a whole number from 1 to 86400000"),
        ("LOG_PRETTY", "geheim", "LOG_PRETTY must be true or false"),
        ("WORKER_ID", "ge heim", "WORKER_ID must be 1 to 100 characters of ASCII without blanks"),
        ("REDIS_NAMESPACE", "a b", "REDIS_NAMESPACE is malformed"),
    ],
)
def test_a_malformed_setting_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    refusal = refusal_of(monkeypatch, name, value, message)

    assert "\n" not in str(refusal)
    assert refusal.exit_code == 1


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DATABASE_URL", f"postgresql://u@%2Fvar%2Frun%2F{'deep%2F' * 20}/d"),
        ("DATABASE_URL", "postgresql://u@first,second/d"),
        ("DATABASE_URL", "postgresql://u:p w@h/d?host=/run/a%20socket"),
        ("DATABASE_URL", "postgresql://u@%2Frun%2Fa%20socket/d"),
        ("REDIS_URL", "redis://:p w@h:6379\n"),
        ("DATABASE_URL", "postgresql://u@bücher.example/d"),
        ("REDIS_URL", "rediss://:p@h:6380/15?ssl_cert_reqs=none&protocol=3"),
        ("REDIS_URL", "unix:///run/redis.sock?db=3"),
    ],
)
def test_an_unusual_address_is_accepted(monkeypatch: pytest.MonkeyPatch, name: str, address: str) -> None:
    monkeypatch.setenv(name, address)

    load_settings()


@pytest.mark.parametrize("content", [b"LOG_LEVEL=debug\nX=\xff\n", "LOG_LEVEL=debug\n".encode("utf-16")])
def test_an_env_file_that_is_not_utf_8_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)

    with pytest.raises(SettingsError, match=r"^\.env is not UTF-8 text"):
        load_settings()


def test_the_error_for_a_missing_address_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"DATABASE_URL is missing.*REDIS_URL is missing, too"):
        load_settings().postgres_dsn()
    with pytest.raises(SettingsError, match="REDIS_URL is missing"):
        load_settings().redis_address()

    monkeypatch.setenv("SUPABASE_URL", "https://x.supabase.co")
    with pytest.raises(SettingsError, match=r"SUPABASE_URL is the REST address.*Session pooler"):
        load_settings().postgres_dsn()


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("POLL_INTERVAL_MS", "")

    assert load_settings().poll_interval_ms == 10_000
    with pytest.raises(SettingsError, match="DATABASE_URL is missing"):
        load_settings().postgres_dsn()


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=debug\nAPP_ENV=production\nUNRELATED=1\n")
    assert (load_settings().log_level, load_settings().is_production) == ("debug", True)

    monkeypatch.setenv("LOG_LEVEL", "ERROR")

    assert load_settings().log_level == "error"


@pytest.mark.parametrize(
    ("mode", "is_production"),
    [
        ("", False), ("development", False), (" Development ", False), ("production", True), ("staging", True),
        ("test", True), ("dev", True), ("\u00fc", True),
    ],
)  # fmt: skip
def test_all_but_development_is_closed(monkeypatch: pytest.MonkeyPatch, mode: str, is_production: bool) -> None:
    monkeypatch.setenv("NODE_ENV", mode)

    settings = load_settings()

    assert (settings.is_production, settings.logs_are_pretty) == (is_production, not is_production)


@pytest.mark.parametrize(
    ("given", "pretty"),
    [
        ({"LOG_PRETTY": "true", "NODE_ENV": "production"}, True),
        ({"LOG_PRETTY": "false"}, False),
        ({"LOG_PRETTY": "1", "LOG_FORMAT": "json"}, False),
        ({"LOG_PRETTY": "0", "LOG_FORMAT": "pretty"}, True),
        ({"LOG_PRETTY": "0", "LOG_FORMAT": "auto"}, False),
    ],
)
def test_log_pretty_holds_where_the_format_is_automatic(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], pretty: bool
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    assert load_settings().logs_are_pretty is pretty


def test_the_job_timeout_is_that_of_turns_unless_they_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load_settings().job_timeout_ms, load_settings().turn_timeout_ms) == (600_000, 3_600_000)

    monkeypatch.setenv("JOB_TIMEOUT_MS", "2m")
    assert (load_settings().job_timeout_ms, load_settings().turn_timeout_ms) == (120_000, 120_000)

    monkeypatch.setenv("TURN_TIMEOUT_MS", "5000")
    assert (load_settings().job_timeout_ms, load_settings().turn_timeout_ms) == (120_000, 5000)


def test_the_port_that_honcho_sets_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "5200")
    assert load_settings().http_port == 5200

    monkeypatch.setenv("HONCHO_PROCESS_NAME", "web.1")
    assert load_settings().http_port == 8080

    monkeypatch.setenv("HEALTH_CHECK_PORT", "8181")
    assert load_settings().http_port == 8181


def test_under_honcho_the_shutdown_timeout_is_below_its_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().grace_seconds == 30

    monkeypatch.setenv("HONCHO_PROCESS_NAME", "worker.1")

    assert load_settings().grace_seconds < 4


def test_secrets_are_not_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:geheim@h/d")
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "geheim")
    settings = load_settings()

    assert "geheim" not in repr(settings)
    assert "geheim" not in str(settings)
    assert "geheim" not in settings.model_dump_json()
