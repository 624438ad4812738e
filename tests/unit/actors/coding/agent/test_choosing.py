from typing import Any

import pytest

from actors.coding.agent.agent_sdk_loop import AgentSdkLoop
from actors.coding.agent.choosing import choose_agent
from actors.coding.agent.claude_loop import ClaudeLoop
from actors.coding.agent.scripted import Scripted
from bridge.errors import SettingsError
from bridge.settings import Settings
from tests.support.agent_sdk import claude_code

PRODUCTION = {"node_env": "production"}
KEY = {"anthropic_api_key": "sk-ant-geheim"}


def settings(**options: Any) -> Settings:
    return Settings(_env_file=None, **options)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "agent"),
    [
        ({}, Scripted),
        (KEY, ClaudeLoop),
        (KEY | PRODUCTION, ClaudeLoop),
        (KEY | {"agent": "scripted"}, Scripted),
        (KEY | {"agent": "claude"}, ClaudeLoop),
        (KEY | {"agent_model": "llama", "agent_price": "0,0"}, ClaudeLoop),
    ],
)
def test_a_key_chooses_claude(options: dict[str, Any], agent: type) -> None:
    assert type(choose_agent(settings(**options))) is agent


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (PRODUCTION, "'scripted' is a stand-in without a model, and production refuses it: set ANTHROPIC_API_KEY"),
        (KEY | PRODUCTION | {"agent": "scripted"}, "set ANTHROPIC_API_KEY and remove AGENT=scripted"),
        ({"agent": "claude"}, "AGENT=claude needs ANTHROPIC_API_KEY"),
        ({"agent": "claude-agent-sdk"}, "AGENT=claude-agent-sdk needs ANTHROPIC_API_KEY"),
        (KEY | {"agent_model": "llama"}, "AGENT_MODEL 'llama' has no price here"),
        (KEY | {"agent_price": "cheap"}, "AGENT_PRICE must be two or four numbers"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(SettingsError) as raised:
        choose_agent(settings(**options))

    assert line in str(raised.value)
    assert "geheim" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_agent_on_the_sdk_is_chosen_by_its_name() -> None:
    claude_code()

    assert type(choose_agent(settings(**KEY, **PRODUCTION, agent="claude-agent-sdk"))) is AgentSdkLoop


@pytest.mark.parametrize(("agent", "extra"), [(None, "agent"), ("claude-agent-sdk", "agent-sdk")])
def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch, agent: str | None, extra: str) -> None:
    monkeypatch.setattr("actors.coding.agent.choosing.find_spec", lambda _: None)

    with pytest.raises(SettingsError, match=rf"needs the package anthropic: install .* extra \[{extra}\]"):
        choose_agent(settings(**KEY, agent=agent))


def test_an_sdk_without_claude_code_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.coding.agent.agent_sdk.command.find_spec", lambda _: None)

    with pytest.raises(SettingsError, match=r"needs the package claude-agent-sdk, .* extra \[agent-sdk\]"):
        choose_agent(settings(**KEY, agent="claude-agent-sdk"))
