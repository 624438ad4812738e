"""Settings as people see them: without secrets, and with where each comes from."""

from pathlib import Path

import pytest

from bridge.settings import load_settings
from bridge.settings.shown import origins, shown_settings

SECRETS = {
    "DATABASE_URL": "postgresql://app:geheim@db:5432/d?password=geheim",
    "REDIS_URL": "redis://:geheim@redis:6379/0",
    "DASHBOARD_PASSWORD": "geheim-and-long",
    "DASHBOARD_READER_PASSWORD": "geheim-too-and-long",
    "SUPABASE_SERVICE_ROLE_KEY": "geheim",
    "SUPABASE_JWT_SECRET": "geheim-" * 6,
}


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    shown = shown_settings(load_settings())

    assert "geheim" not in str(shown)
    assert shown["DATABASE_URL"] == "postgresql://app:***@db:5432/d?password=***"
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
