import os
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from actors.coding.agent.agent_sdk.command import command, environment, find_program
from actors.coding.agent.agent_sdk.gateway import Gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


def test_it_gets_the_gateways_token_and_nothing_of_the_worker(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "geheim")
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")

    variables = environment(gateway, Path("/folder"))

    assert variables["ANTHROPIC_API_KEY"] == gateway.token
    assert variables["ANTHROPIC_BASE_URL"] == gateway.url
    assert "geheim" not in str(variables)
    assert not {"CLAUDE_CODE_USE_BEDROCK", "DATABASE_URL"} & variables.keys()
    assert set(variables.values()) & set(os.environ.values()) <= {"1", "0", os.environ["PATH"], os.environ.get("HOME")}


def test_its_own_tools_are_off_and_ours_are_allowed() -> None:
    arguments = command(Path("/claude"), "m", "Work.", ["bash", "ask"])

    assert arguments[arguments.index("--tools") + 1] == ""
    assert arguments[arguments.index("--allowedTools") + 1] == "mcp__mobvibe__bash,mcp__mobvibe__ask"


def test_an_sdk_without_claude_code_has_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec("claude_agent_sdk", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("actors.coding.agent.agent_sdk.command.find_spec", lambda _: spec)
    assert find_program() is None

    (tmp_path / "_bundled").mkdir()
    (tmp_path / "_bundled" / "claude").touch()
    assert find_program() == tmp_path / "_bundled" / "claude"
