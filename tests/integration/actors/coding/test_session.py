"""The actor is there where it can work."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dramatiq
import pytest
from pydantic import SecretStr

from actors.coding.session import register
from bridge.broker import connect_broker
from bridge.settings import Settings


@pytest.fixture(autouse=True)
def current_broker() -> Iterator[None]:
    before = dramatiq.get_broker()
    yield
    dramatiq.set_broker(before)


def declared(settings: Settings) -> bool:
    broker = connect_broker(settings)
    register()
    broker.close()
    return "run_coding_session" in broker.actors


def test_development_has_it(settings: Settings) -> None:
    assert declared(settings)


def test_production_without_a_key_leaves_its_jobs_waiting(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    assert not declared(settings.model_copy(update={"node_env": "production"}))
    assert "ANTHROPIC_API_KEY" in caplog.text


def test_production_without_a_sandbox_leaves_its_jobs_waiting(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    in_production = {"node_env": "production", "anthropic_api_key": SecretStr("made-up-key")}

    assert not declared(settings.model_copy(update=in_production))
    assert "bubblewrap" in caplog.text


def test_a_worker_without_sessions_does_without_what_they_need() -> None:
    program = (
        "import sys, actors\n"
        "print(*sorted(name for name in sys.modules if name.startswith(('actors.', 'bridge.sessions', 'bridge.snap'))))"
    )
    result = subprocess.run([sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=True)

    assert result.stdout.split() == ["actors.coding", "actors.coding.session"]
