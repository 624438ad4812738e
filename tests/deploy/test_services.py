"""Compose, Swarm, systemd, PM2, Heroku and Fly: valid files, with our commands and settings, and time to stop."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.settings import Settings
from bridge.settings.secret_files import secret_names
from tests.support.deploy import (
    DEPLOY,
    ROLES,
    ROOT,
    STOP_MARGIN_MS,
    documents,
    milliseconds,
    need,
    problems,
    runs,
    unknown_settings,
)

COMPOSE = [ROOT / "docker-compose.yml", DEPLOY / "compose/production.yml", DEPLOY / "swarm/stack.yml"]
VERBS = {"bridge": "run", "worker": "worker", "web": "web"}
[MAIN] = documents(COMPOSE[0])
[PRODUCTION] = documents(COMPOSE[1])
[STACK] = documents(COMPOSE[2])
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
HEROKU = json.loads((DEPLOY / "heroku/app.json").read_text())
FLY = tomllib.loads((DEPLOY / "fly/fly.toml").read_text())
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def outlasts(stop: int, shutdown: str | int) -> bool:
    return stop > int(shutdown) + STOP_MARGIN_MS


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.parent.name)
def test_compose_files_are_valid(path: Path) -> None:
    [document] = documents(path)
    assert problems(document, "compose-spec.json") == []


@pytest.mark.parametrize("services", [MAIN["services"], STACK["services"]], ids=["compose", "swarm"])
def test_every_container_is_limited_and_its_log_is_rotated(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert {"max-size", "max-file"} <= set(service["logging"]["options"]), name
        assert not re.search(r"(:latest|/[^:]+|^[^:]+)$", re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", service["image"])), name
        if name in VERBS:
            assert runs(service["command"]) == VERBS[name]
            assert f"mobvibe healthcheck {name}" in " ".join(service["healthcheck"]["test"])


def test_images_are_those_of_this_version() -> None:
    for path in COMPOSE:
        for version in re.findall(r"mobvibe-bridge:(?:\$\{IMAGE_TAG:-)?([0-9.]+)", path.read_text()):
            assert version == VERSION
    assert MAIN["services"]["bridge"]["build"]["target"] == "${IMAGE_TARGET:-sessions}"


def test_in_production_processes_change_nothing_and_the_pages_are_at_this_host() -> None:
    for service in PRODUCTION["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    web = PRODUCTION["services"]["web"]
    assert web["ports"] == [{"target": 9090, "published": web["environment"]["ADMIN_PORT"], "host_ip": "127.0.0.1"}]
    assert PRODUCTION["services"].keys() <= MAIN["services"].keys()


def test_swarm_starts_a_new_one_first_and_goes_back_by_itself() -> None:
    for role in ROLES:
        service = STACK["services"][role]
        assert service["deploy"]["update_config"]["order"] == "start-first"
        assert service["deploy"]["update_config"]["failure_action"] == "rollback"
        assert unknown_settings({name.removesuffix("_FILE") for name in service["environment"]}) == set()
    worker = STACK["services"]["worker"]
    assert outlasts(milliseconds(worker["stop_grace_period"]), worker["environment"]["SHUTDOWN_TIMEOUT_MS"])


@pytest.mark.parametrize("role", ROLES)
def test_swarm_gives_each_secret_to_a_setting_that_reads_files(role: str) -> None:
    service = STACK["services"][role]
    files = {name: value for name, value in service["environment"].items() if name.endswith("_FILE")}

    assert files == {f"{secret.upper()}_FILE": f"/run/secrets/{secret}" for secret in STACK["secrets"]}
    assert service["secrets"] == list(STACK["secrets"])
    assert set(STACK["secrets"]) <= set(secret_names(Settings.model_fields))


def fields(unit: Path) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE))


def test_units_are_valid_to_systemd(tmp_path: Path) -> None:
    need("systemd-analyze", present=shutil.which("systemd-analyze") is not None)
    for unit in [*UNITS, DEPLOY / "systemd/mobvibe.target"]:
        name = unit.name.replace("@.", "@1.")
        text = (
            unit.read_text()
            .replace("/opt/mobvibe/venv/bin/mobvibe", "/bin/true")
            .replace("/etc/mobvibe", str(tmp_path))
        )
        (tmp_path / name).write_text(re.sub(r"^(User|Group)=.*\n", "", text, flags=re.MULTILINE))
    (tmp_path / "mobvibe-worker@2.service").write_text((tmp_path / "mobvibe-worker@1.service").read_text())

    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.glob("*.*"))],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    ours = [line for line in said.stderr.splitlines() if "mobvibe" in line]
    assert ours == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_run_our_commands_as_an_ordinary_user(unit: Path) -> None:
    found = fields(unit)
    expected = {"bridge@": "run", "worker@": "worker", "web": "web", "migrate": "migrate up"}

    assert runs(found["ExecStart"]) == expected[unit.stem.removeprefix("mobvibe-")]
    assert found["User"] == "mobvibe"
    assert found["NoNewPrivileges"] == "yes"
    assert found["ProtectSystem"] == "strict"
    assert found["MemoryMax"]
    if "migrate" not in unit.stem:
        assert found["KillMode"] == "mixed"
        assert found["Restart"] == "always"


def test_systemd_gives_workers_time_to_stop() -> None:
    variables = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / "systemd/mobvibe.env").read_text(), re.MULTILINE))

    assert unknown_settings(set(variables)) == set()
    stop = milliseconds(fields(DEPLOY / "systemd/mobvibe-worker@.service")["TimeoutStopSec"])
    assert outlasts(stop, variables["SHUTDOWN_TIMEOUT_MS"])


def test_pm2_runs_our_commands_and_gives_them_time() -> None:
    need("node", present=shutil.which("node") is not None)
    path = DEPLOY / "pm2/ecosystem.config.js"
    said = subprocess.run(
        ["node", "-p", f"JSON.stringify(require({str(path)!r}))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    ecosystem = json.loads(said.stdout)
    apps = {app["name"].removeprefix("mobvibe-"): app for app in ecosystem["apps"]}

    assert problems(ecosystem, "pm2-ecosystem.json") == []
    assert {name: runs(["mobvibe", *app["args"].split()]) for name, app in apps.items()} == VERBS
    assert outlasts(apps["worker"]["kill_timeout"], apps["worker"]["env"]["SHUTDOWN_TIMEOUT_MS"])
    for app in apps.values():
        assert unknown_settings(set(app["env"])) == {"PYTHONUNBUFFERED"}


def test_heroku_migrates_before_a_release() -> None:
    lines = dict(line.split(": ", 1) for line in (DEPLOY / "heroku/Procfile").read_text().splitlines())

    assert {name: runs(command) for name, command in lines.items()} == {"release": "migrate up"} | VERBS
    assert HEROKU["formation"].keys() == VERBS.keys()
    assert unknown_settings(set(HEROKU["env"])) == set()
    assert outlasts(30_000, HEROKU["env"]["SHUTDOWN_TIMEOUT_MS"]), "Heroku kills after 30 s"


def test_fly_migrates_before_a_release_and_probes_web() -> None:
    assert runs(FLY["deploy"]["release_command"]) == "migrate up"
    assert {name: runs(command) for name, command in FLY["processes"].items()} == VERBS
    assert unknown_settings(set(FLY["env"])) == set()
    assert outlasts(milliseconds(FLY["kill_timeout"]), FLY["env"]["SHUTDOWN_TIMEOUT_MS"])
    assert {process for vm in FLY["vm"] for process in vm["processes"]} == VERBS.keys()
    assert f"AS {FLY['build']['build-target']}\n" in (ROOT / "Dockerfile").read_text()
    assert [check["path"] for check in FLY["http_service"]["checks"]] == ["/livez"]
    assert FLY["http_service"]["internal_port"] == Settings().http_port


def test_alert_rules_are_valid() -> None:
    assert problems(yaml.safe_load((DEPLOY / "alerts.yaml").read_text()), "prometheus.rules.json") == []


def test_each_target_has_a_page() -> None:
    pages = (ROOT / "docs/how-to/deploy.md").read_text()
    for folder in ("compose", "swarm", "kubernetes", "systemd", "pm2", "heroku", "fly", "logs"):
        assert f"(deploy-{folder}.md)" in pages
        assert (DEPLOY / folder).is_dir()
        assert f"deploy/{folder}" in (ROOT / f"docs/how-to/deploy-{folder}.md").read_text()
