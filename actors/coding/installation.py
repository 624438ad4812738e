"""What the turns of this installation run with, as the settings say: the agent, the sandboxes and their limits."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

from actors.coding.agent.choosing import choose_agent
from actors.coding.agent.runner import AgentRunner
from actors.coding.redact.known import KnownSecrets
from actors.coding.redact.own import own_secrets
from actors.coding.redact.redactor import Redactor
from actors.coding.sandbox.base import SandboxProvider, Spec
from actors.coding.sandbox.configured import provider_of, spec_of
from actors.coding.workspace.remotes import Remotes
from bridge.broker import connected_settings
from bridge.sessions import database_mark


@dataclass(frozen=True, slots=True)
class Installation:
    agent: AgentRunner
    provider: SandboxProvider
    spec: Spec
    known: KnownSecrets
    model: str
    turn_seconds: float
    flush_seconds: float
    sandbox_idle: timedelta
    sandbox_max: int
    snapshots: Path
    """The folder with a repository for each session that had a turn on this machine."""
    remotes: Remotes

    @property
    def new_redactor(self) -> Callable[[], Redactor]:
        return lambda: Redactor(self.known)


@cache
def installation() -> Installation:
    """Made once in a process. Raises SettingsError, SandboxSetupError: one line that says what to change.

    Raises StoreUnavailableError after 30 s without Postgres; the next call tries it again.
    """
    settings = connected_settings()
    token = settings.git_token
    return Installation(
        agent=choose_agent(settings),
        provider=provider_of(settings, database_mark()),
        spec=spec_of(settings),
        known=own_secrets(settings, os.environ),
        model=settings.agent_model,
        turn_seconds=settings.turn_timeout_ms / 1000,
        flush_seconds=settings.event_flush_ms / 1000,
        sandbox_idle=timedelta(milliseconds=settings.sandbox_idle_ms),
        sandbox_max=settings.sandbox_max,
        snapshots=settings.workspaces / "snapshots",
        remotes=Remotes(settings.hosts_to_clone_from, None if token is None else token.get_secret_value()),
    )
