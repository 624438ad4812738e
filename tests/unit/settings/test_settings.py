"""Settings: defaults, where values come from, and one line for each mistake, without secrets."""

from pathlib import Path

import pytest

from bridge.errors import SettingsError
from bridge.settings import SAMPLE_JWT_SECRET, load_settings


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
        ("NODE_ENV", "staging", "NODE_ENV must be one of"),
        ("REDIS_NAMESPACE", "a b", "REDIS_NAMESPACE is malformed"),
        ("PATH_PREFIX", "geheim", "PATH_PREFIX must be a path, such as"),
        ("PATH_PREFIX", "//geheim.example", "PATH_PREFIX must be a path"),
        ("PATH_PREFIX", "/geheim/../x", "PATH_PREFIX must be a path"),
        ("SUPABASE_JWT_SECRET", "geheim", "shorter than 32 bytes"),
        ("SUPABASE_JWT_SECRET", SAMPLE_JWT_SECRET, "sample text"),
    ],
)
def test_a_malformed_setting_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=message) as raised:
        load_settings()

    assert str(raised.value).startswith(name)
    assert "geheim" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DATABASE_URL", f"postgresql://u@%2Fvar%2Frun%2F{'deep%2F' * 20}/d"),
        ("DATABASE_URL", "postgresql://u@first,second/d"),
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


@pytest.mark.parametrize(("text", "milliseconds"), [("250", 250), ("250ms", 250), ("10s", 10_000), ("2m", 120_000)])
def test_durations_may_carry_a_unit(monkeypatch: pytest.MonkeyPatch, text: str, milliseconds: int) -> None:
    monkeypatch.setenv("POLL_INTERVAL_MS", text)

    assert load_settings().poll_interval_ms == milliseconds


@pytest.mark.parametrize(("written", "prefix"), [("/mobvibe/", "/mobvibe"), ("/", ""), (" /a/b.c ", "/a/b.c")])
def test_a_path_prefix_ends_without_a_slash(monkeypatch: pytest.MonkeyPatch, written: str, prefix: str) -> None:
    monkeypatch.setenv("PATH_PREFIX", written)
    assert load_settings().path_prefix == prefix


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=debug\nAPP_ENV=production\nUNRELATED=1\n")
    assert (load_settings().log_level, load_settings().is_production) == ("debug", True)

    monkeypatch.setenv("LOG_LEVEL", "ERROR")

    assert load_settings().log_level == "error"


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
