"""The settings of coding sessions: the agent, what it may spend, and where its commands run."""

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from bridge.settings.units import Milliseconds


class SessionSettings(BaseSettings):
    """A part of `Settings`."""

    agent: Literal["claude", "claude-agent-sdk", "scripted"] | None = None
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str | None = None
    agent_model: str = Field(default="claude-sonnet-5-5", min_length=1)
    agent_price: str | None = None
    turn_timeout_ms: Milliseconds = 3_600_000
    event_flush_ms: Milliseconds = 50
    sandbox_timeout_ms: Milliseconds = 1_800_000
    sandbox_memory_mb: int = Field(default=512, ge=16, le=1_048_576)
    sandbox_processes: int = Field(default=64, ge=1, le=100_000)
    sandbox_file_mb: int = Field(default=100, ge=1, le=1_048_576)
    sandbox_disk_mb: int = Field(default=2048, ge=16, le=1_048_576)
    sandbox: Literal["local", "docker", "fly"] = "local"
    sandbox_image: str = ""
    sandbox_network: str = ""
    sandbox_idle_ms: Milliseconds = 900_000
    sandbox_max: int = Field(default=20, ge=1, le=10_000)
    git_hosts: str = ""
    git_token: SecretStr | None = None
    fly_api_token: SecretStr | None = None
    fly_app: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$")
    fly_region: str = Field(default="", pattern=r"^[a-z]*$")

    turn_budget_usd: float | None = Field(default=5.0, gt=0, le=1_000_000)
    session_budget_usd: float | None = Field(default=20.0, gt=0, le=1_000_000)
    user_daily_budget_usd: float | None = Field(default=50.0, gt=0, le=1_000_000)

    @field_validator("anthropic_base_url")
    @classmethod
    def _is_web_address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value):
            raise ValueError("must be an address such as https://gateway.example/anthropic, without user and password")
        return value

    @field_validator("anthropic_api_key", "git_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        key = value.get_secret_value().strip()
        if not re.fullmatch(r"[!-~]+", key):
            raise ValueError("holds a blank, or a character that is not ASCII: copy it again")
        return SecretStr(key)

    @field_validator("sandbox_network")
    @classmethod
    def _lists_hosts(cls, value: str) -> str:
        for host in _listed(value):
            if not re.fullmatch(r"(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", host):
                raise ValueError("must be names of hosts, without https:// and port: pypi.org,*.example.org")
        return value

    @field_validator("git_hosts")
    @classmethod
    def _lists_git_hosts(cls, value: str) -> str:
        for host in _listed(value):
            if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[1-9][0-9]{0,4})?", host):
                raise ValueError("must be names of hosts, without https:// and path: github.com,git.example.org:8443")
        return value

    @property
    def hosts_to_clone_from(self) -> tuple[str, ...]:
        """Names, or `name:port`, as an address gives them: in small letters, without the port of HTTPS."""
        return tuple(host.lower().removesuffix(":443") for host in _listed(self.git_hosts))

    @property
    def sandbox_hosts(self) -> tuple[str, ...]:
        """The hosts that commands of coding sessions may reach."""
        return _listed(self.sandbox_network)


def _listed(value: str) -> tuple[str, ...]:
    return tuple(host for part in value.split(",") if (host := part.strip()))
