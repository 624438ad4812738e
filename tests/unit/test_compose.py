"""docker-compose.yml as Compose reads it: which services start, and with which settings."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from bridge.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
PROCESSES = ("migrate", "bridge", "worker", "web")
THEIRS = {"DATABASE_URL": "postgresql://app:pa-ss@db.example:5432/app", "REDIS_URL": "rediss://redis.example:6380/1"}
# Of the container, not of its settings.
DECIDED = {"HEALTH_CHECK_PORT": "8080", "BIND_HOST": "0.0.0.0", "MOBVIBE_DIR": "/tmp/mobvibe"}  # noqa: S104
OWNERS = "OWNERS_DATABASE_URL"  # of one service alone
INTERNAL = {"PLATFORM_MARK", "HONCHO_PROCESS_NAME", "PORT"}


def interpolated(value: Any, environment: Mapping[str, str]) -> Any:
    """Expand `$NAME`, `${NAME:-default}`, `${NAME:+instead}`, also nested. Compose expands every part, used or not."""
    if isinstance(value, dict):
        return {name: interpolated(part, environment) for name, part in value.items()}
    if isinstance(value, list):
        return [interpolated(part, environment) for part in value]
    while isinstance(value, str) and "${" in value:
        value = re.sub(r"\$\{(\w+)(?:(:-|:\+)([^${}]*))?\}", lambda found: _one(found, environment), value)
    return value


def _one(found: re.Match[str], environment: Mapping[str, str]) -> str:
    name, operator, text = found.groups()
    value = environment.get(name, "")
    if operator is None:
        assert name in environment, f"Compose warns: {name} is not set"
    return value or text if operator == ":-" else text if operator and value else value


def composed(environment: Mapping[str, str], *profiles: str, dotenv: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The services that start, each with its whole environment: `environment` wins over .env."""
    dotenv = dotenv or {}
    known = {**dotenv, **environment}
    services = interpolated(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"], known)
    started = {
        name: service
        for name, service in services.items()
        if "profiles" not in service or set(profiles) & set(service["profiles"])
    }
    for service in started.values():
        for other, how in service.get("depends_on", {}).items():
            assert other in started or how.get("required") is False, f"{other} is required, but does not start"
        if "env_file" in service:
            assert service["env_file"] == [{"path": ".env", "required": False}]
            named = {
                name: known.get(name) if value is None else value for name, value in service["environment"].items()
            }
            service["environment"] = {**dotenv, **{name: value for name, value in named.items() if value is not None}}
    return started


def settings_in(service: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The settings that a process reads from its environment."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.mark.parametrize("in_file", [True, False])
def test_the_stores_that_are_set_are_used_and_no_others_start(in_file: bool) -> None:
    services = composed({}, dotenv=THEIRS) if in_file else composed(THEIRS)

    assert set(services) == set(PROCESSES)
    for name in PROCESSES:
        assert {key: services[name]["environment"][key] for key in THEIRS} == THEIRS


@pytest.mark.parametrize("dotenv", [{}, {"DATABASE_URL": "", "REDIS_URL": ""}])
def test_the_profile_starts_stores_and_every_process_uses_them(dotenv: dict[str, str]) -> None:
    services = composed({"POSTGRES_PASSWORD": "geheim"}, "stores", dotenv=dotenv)

    assert set(services) == {*PROCESSES, "postgres", "redis"}
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == "geheim"
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in PROCESSES:
        assert services[name]["environment"]["DATABASE_URL"] == "postgresql://mobvibe:geheim@postgres/mobvibe"
        assert services[name]["environment"]["REDIS_URL"] == "redis://redis:6379/0"


def test_a_redis_of_compose_can_be_used_with_an_outside_postgres() -> None:
    services = composed({"DATABASE_URL": THEIRS["DATABASE_URL"]}, "redis")

    assert set(services) == {*PROCESSES, "redis"}
    assert services["bridge"]["environment"]["DATABASE_URL"] == THEIRS["DATABASE_URL"]
    assert services["bridge"]["environment"]["REDIS_URL"] == "redis://redis:6379/0"
    assert services["bridge"]["depends_on"]["redis"]["condition"] == "service_healthy"


def test_without_any_store_the_processes_name_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = settings_in(composed({})["migrate"], monkeypatch, tmp_path)

    assert settings.database_url is None


@pytest.mark.parametrize(
    "name", sorted({name.upper() for name in Settings.model_fields} - INTERNAL - set(DECIDED) - {OWNERS})
)
def test_every_setting_of_the_file_is_passed_on_and_the_environment_wins(name: str) -> None:
    for service in PROCESSES:
        assert composed({}, dotenv={name: "of-the-file"})[service]["environment"][name] == "of-the-file"
        services = composed({name: "of-the-environment"}, dotenv={name: "of-the-file"})
        assert services[service]["environment"][name] == "of-the-environment"


def test_the_owners_address_reaches_the_migration_alone() -> None:
    given = {OWNERS: "postgresql://postgres:geheim@db.example/app"}

    for services in (composed(THEIRS | given), composed(THEIRS, dotenv=given)):
        assert services["migrate"]["environment"][OWNERS] == given[OWNERS]
        assert {services[name]["environment"][OWNERS] for name in ("bridge", "worker", "web")} == {""}


def test_the_example_filled_in_gives_the_settings_that_it_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    example = {name: value or "" for name, value in dotenv_values(ROOT / ".env.example").items()}
    services = composed({}, dotenv=example | THEIRS | {"OPENAI_API_KEY": "an actor's own"})

    for name in PROCESSES:
        settings = settings_in(services[name], monkeypatch, tmp_path)
        shown = {key.upper(): str(value) for key, value in settings if value is not None}
        for key, value in example.items():
            if value and key not in DECIDED:
                assert shown[key].lower() == value.lower(), key
        assert services[name]["environment"]["OPENAI_API_KEY"] == "an actor's own"


def test_paths_and_ports_inside_the_container_are_fixed() -> None:
    dotenv = {"HEALTH_CHECK_PORT": "9000", "BIND_HOST": "127.0.0.1", "MOBVIBE_DIR": "/home/me/.mobvibe"}
    web = composed(THEIRS, dotenv=dotenv)["web"]

    assert {name: web["environment"][name] for name in DECIDED} == DECIDED
    assert web["ports"] == [{"target": 8080, "published": "9000", "host_ip": "127.0.0.1"}]
    assert composed(THEIRS)["web"]["ports"] == [{"target": 8080, "published": "8080", "host_ip": DECIDED["BIND_HOST"]}]
    assert f"MOBVIBE_DIR={DECIDED['MOBVIBE_DIR']}" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("given", "mode"),
    [({}, "production"), ({"APP_ENV": "development"}, "development"), ({"NODE_ENV": "development"}, "development")],
)
def test_it_is_production_unless_set_otherwise(
    given: dict[str, str], mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert settings_in(composed(THEIRS, dotenv=given)["worker"], monkeypatch, tmp_path).node_env == mode


def test_each_service_is_probed_by_its_own_role() -> None:
    services = composed({"POSTGRES_PASSWORD": "geheim"}, "stores")

    for role in ("bridge", "worker", "web"):
        probe = services[role]["healthcheck"]
        assert probe["test"] == ["CMD", "mobvibe", "healthcheck", role]
        assert {"interval", "timeout", "start_period", "retries"} < set(probe)
    assert services["migrate"]["healthcheck"] == {"disable": True}
    assert "pg_isready" in services["postgres"]["healthcheck"]["test"][1]
    assert services["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]


def test_each_process_has_its_command_and_waits_for_the_migration() -> None:
    services = composed(THEIRS)

    assert services["migrate"]["command"] == ["mobvibe", "migrate", "up"]
    assert services["migrate"]["restart"] == "no"
    assert [services[name]["command"][1] for name in ("bridge", "worker", "web")] == ["run", "worker", "web"]
    for name in ("bridge", "worker", "web"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_workers_have_time_to_stop() -> None:
    timeout_ms = Settings.model_fields["shutdown_timeout_ms"].default

    assert int(composed(THEIRS)["worker"]["stop_grace_period"].removesuffix("s")) * 1000 > timeout_ms + 8000
    assert composed({**THEIRS, "STOP_GRACE_PERIOD": "3m"})["worker"]["stop_grace_period"] == "3m"
