"""From settings to sandboxes."""

from pathlib import Path
from uuid import uuid4

import pytest

from actors.coding.sandbox.base import SandboxSetupError, Spec
from actors.coding.sandbox.configured import provider_of, spec_of
from bridge.settings.settings import Settings
from tests.support.sandboxes import local_provider


def settings(folder: Path, **values: object) -> Settings:
    return Settings(_env_file=None, workspaces_dir=folder, **values)  # type: ignore[call-arg, arg-type]


def test_settings_are_the_spec_of_a_sandbox(tmp_path: Path) -> None:
    given = settings(tmp_path, sandbox_memory_mb=100, sandbox_network="pypi.org, *.example.org,", sandbox_disk_mb=300)

    assert spec_of(given) == Spec(100, 64, 100, 300, allowed_hosts=("pypi.org", "*.example.org"))
    assert spec_of(settings(tmp_path)).allowed_hosts == ()


def test_the_provider_works_in_the_folder_of_workspaces(tmp_path: Path) -> None:
    local_provider(tmp_path)
    provider, session_id = provider_of(settings(tmp_path / "workspaces")), uuid4()

    provider.obtain(session_id, 1, spec_of(settings(tmp_path))).close()

    assert (tmp_path / "workspaces" / str(session_id) / "workspace").is_dir()


def test_production_refuses_to_go_without_a_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SandboxSetupError):
        provider_of(settings(tmp_path, node_env="production"))


def test_development_goes_without_a_sandbox_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert provider_of(settings(tmp_path)).name == "unconfined"
    assert "without a sandbox" in caplog.text
    assert "bubblewrap" in caplog.text


def test_what_fly_needs_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxSetupError, match="^SANDBOX=fly needs FLY_API_TOKEN, SANDBOX_IMAGE: see docs/"):
        provider_of(settings(tmp_path, sandbox="fly", fly_app="app"))


def test_fly_is_the_provider_when_it_is_asked_for(tmp_path: Path) -> None:
    given = settings(tmp_path, sandbox="fly", fly_app="app", fly_api_token="made-up", sandbox_image="image")

    assert provider_of(given).name == "fly"


def test_what_docker_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SandboxSetupError, match=r"^SANDBOX=docker needs SANDBOX_IMAGE: see docs/"):
        provider_of(settings(tmp_path, sandbox="docker"))
    with pytest.raises(SandboxSetupError, match="^docker, which SANDBOX=docker needs, is not installed"):
        provider_of(settings(tmp_path, sandbox="docker", sandbox_image="image"))
