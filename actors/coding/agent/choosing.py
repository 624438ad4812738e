"""Which agent works on the turns of this installation."""

from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Protocol

from actors.coding.agent.claude_loop import ClaudeLoop
from actors.coding.agent.prices import price_of
from actors.coding.agent.runner import AgentRunner
from actors.coding.agent.scripted import Scripted
from bridge.errors import SettingsError


class Secret(Protocol):
    def get_secret_value(self) -> str: ...


class AgentSettings(Protocol):
    """The settings that choose an agent."""

    @property
    def agent(self) -> str | None: ...
    @property
    def anthropic_api_key(self) -> Secret | None: ...
    @property
    def anthropic_base_url(self) -> str | None: ...
    @property
    def agent_model(self) -> str: ...
    @property
    def agent_price(self) -> str | None: ...
    @property
    def is_production(self) -> bool: ...


def choose_agent(settings: AgentSettings) -> AgentRunner:
    """The agent that the settings ask for: with a key that is Claude, else the scripted stand-in.

    Raises SettingsError, one line that says what to set: for the stand-in in production, for another agent without a
    key or without its library, and for a model without a price. Loads nothing heavy.
    """
    key = settings.anthropic_api_key
    agent = settings.agent or ("claude" if key else "scripted")
    if agent == "scripted":
        return _scripted(settings)
    if key is None:
        raise SettingsError(
            f"AGENT={agent} needs ANTHROPIC_API_KEY: set it, or leave AGENT out for the scripted stand-in"
        )
    if find_spec("anthropic") is None:
        extra = "agent" if agent == "claude" else "agent-sdk"
        raise SettingsError(f"AGENT={agent} needs the package anthropic: install the bridge with its extra [{extra}]")
    price_of(settings.agent_model, datetime.now(UTC).date(), settings.agent_price)
    if agent == "claude-agent-sdk":
        return _agent_sdk(key.get_secret_value(), settings)
    return ClaudeLoop(key.get_secret_value(), settings.anthropic_base_url, price=settings.agent_price)


def _agent_sdk(key: str, settings: AgentSettings) -> AgentRunner:
    from actors.coding.agent.agent_sdk.command import find_program  # noqa: PLC0415 -- a worker without it has no gateway
    from actors.coding.agent.agent_sdk_loop import AgentSdkLoop  # noqa: PLC0415 -- as above

    program = find_program()
    if program is None:
        raise SettingsError(
            "AGENT=claude-agent-sdk needs the package claude-agent-sdk, in a build that brings Claude Code: "
            "install the bridge with its extra [agent-sdk]"
        )
    return AgentSdkLoop(program, key, settings.anthropic_base_url, price=settings.agent_price)


def _scripted(settings: AgentSettings) -> Scripted:
    if settings.is_production:
        raise SettingsError(
            "the agent 'scripted' is a stand-in without a model, and production refuses it: set ANTHROPIC_API_KEY"
            + (" and remove AGENT=scripted" if settings.agent else "")
        )
    return Scripted()
