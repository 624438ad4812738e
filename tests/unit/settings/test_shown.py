"""Settings as people see them: without secrets, and with where each comes from.

Rows of docs/reference/security.md: S18.
"""

from pathlib import Path

import pytest

from bridge.settings import load_settings
from bridge.settings.shown import origins, shown_settings

SECRETS = {
    "DATABASE_URL": "postgresql://app:geheim@db:5432/d?password=geheim",
    "LISTEN_DATABASE_URL": "postgresql://app:geheim@db:5433/d?sslpassword=geheim",
    "OWNERS_DATABASE_URL": "postgresql://postgres:geheim@db/d",
    "REDIS_URL": "redis://:geheim@redis:6379/0",
    "DASHBOARD_PASSWORD": "geheim-and-long",
    "DASHBOARD_READER_PASSWORD": "geheim-too-and-long",
    "SUPABASE_SERVICE_ROLE_KEY": "geheim",
    "SUPABASE_JWT_SECRET": "geheim-" * 6,
    "SUPABASE_JWKS_URL": "https://gateway/keys?apikey=geheim",
    "ANTHROPIC_API_KEY": "geheim",
}


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    shown = shown_settings(load_settings())

    assert "geheim" not in str(shown)
    assert shown["DATABASE_URL"] == "postgresql://app:***@db:5432/d?password=***"
    assert shown["SUPABASE_JWKS_URL"] == "https://gateway/keys?***"
    assert {shown[name] for name in SECRETS if "URL" not in name} == {"***"}


def test_each_value_has_its_origin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("LEASE_MS=4000\nexport BIND_HOST=::1\nPORT=\n")
    monkeypatch.setenv("LEASE_MS", "5000")
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("READ_ONLY", "")

    found = origins(load_settings())

    assert {found["LEASE_MS"], found["NODE_ENV"]} == {"environment"}
    assert found["BIND_HOST"] == ".env"
    assert {found["PORT"], found["READ_ONLY"], found["LOG_LEVEL"]} == {"default"}


def test_the_origin_of_what_other_settings_imply_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"JOB_TIMEOUT_MS": "5000", "DYNO": "web.1", "PORT": "5200"}.items():
        monkeypatch.setenv(name, value)

    found = origins(load_settings())

    assert (found["TURN_TIMEOUT_MS"], found["BIND_HOST"]) == ("JOB_TIMEOUT_MS", "PORT")


def test_a_secret_of_a_file_has_the_files_variable_as_its_origin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("geheim\n")
    (tmp_path / ".env").write_text(f"GIT_TOKEN_FILE={tmp_path / 'key'}\nFLY_API_TOKEN=x\nFLY_API_TOKEN_FILE=\n")
    monkeypatch.setenv("ANTHROPIC_API_KEY_FILE", str(tmp_path / "key"))

    found = origins(load_settings())

    assert found["ANTHROPIC_API_KEY"] == "environment, ANTHROPIC_API_KEY_FILE"
    assert (found["GIT_TOKEN"], found["FLY_API_TOKEN"]) == (".env, GIT_TOKEN_FILE", ".env")
