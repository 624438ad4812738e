"""The settings of the web process: where it listens, who may see what, and whose tokens it takes."""

import re
from ipaddress import ip_network
from typing import Any

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from bridge.addresses import check_web_address

SHORTEST_PASSWORD = 8  # characters: guessing a shorter one takes days, not years
SAMPLE_JWT_SECRET = "your-super-secret-jwt-token-with-at-least-32-characters-long"  # noqa: S105 -- the public sample, which is refused
_TIER = re.compile(r"([A-Za-z0-9_.-]{1,64})=([0-9]{1,6})")
# Variables of platforms that route requests to their PORT alone: Heroku; Cloud Run and all of Knative; Render; Railway;
# App Engine; Cloud Foundry.
_ROUTED_BY_PORT = ("dyno", "k_service", "render", "railway_environment_name", "gae_service", "vcap_application")
_JWKS_PATH = "/auth/v1/.well-known/jwks.json"


class WebSettings(BaseSettings):
    """A part of `Settings`."""

    health_check_port: int | None = Field(default=None, ge=1, le=65535)
    port: int | None = Field(default=None, ge=1, le=65535)
    platform_mark: str | None = Field(default=None, validation_alias=AliasChoices(*_ROUTED_BY_PORT))
    bind_host: str = "127.0.0.1"
    admin_port: int | None = Field(default=None, ge=1, le=65535)
    admin_bind_host: str | None = None
    web_database_connections: int = Field(default=8, ge=1, le=100)
    dashboard_user: str = Field(default="admin", min_length=1)
    dashboard_password: SecretStr | None = None
    dashboard_reader_password: SecretStr | None = None
    read_only: bool = False
    hide_prompts: bool = False
    open_sessions_per_user: int = Field(default=20, ge=1, le=100_000)
    open_sessions_by_tier: str = ""
    path_prefix: str = ""
    forwarded_allow_ips: str = ""

    supabase_url: str | None = None
    supabase_service_role_key: SecretStr | None = None
    supabase_jwt_secret: SecretStr | None = None
    supabase_jwks_url: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _listen_to_the_platform(cls, given: dict[str, Any]) -> dict[str, Any]:
        """The router of a platform is on another machine."""
        is_routed = "port" in given and any(name in given for name in ("platform_mark", *_ROUTED_BY_PORT))
        return {"bind_host": "0.0.0.0"} | given if is_routed else given  # noqa: S104 -- see above

    @field_validator("supabase_jwt_secret")
    @classmethod
    def _is_a_real_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            if value.get_secret_value() == SAMPLE_JWT_SECRET:
                raise ValueError("is the sample text that everybody knows; use your project's own secret")
            if len(value.get_secret_value().encode()) < 32:  # noqa: PLR2004 -- the key size of HS256
                raise ValueError("is shorter than 32 bytes, which HS256 needs to be safe")
        return value

    @field_validator("supabase_url")
    @classmethod
    def _is_a_projects_address(cls, value: str | None) -> str | None:
        if value is not None:
            check_web_address(value, "https://<project>.supabase.co")
        return value

    @field_validator("supabase_jwks_url")
    @classmethod
    def _is_a_web_address(cls, value: str | None) -> str | None:
        if value is not None:
            check_web_address(value, f"https://<project>.supabase.co{_JWKS_PATH}")
        return value

    @field_validator("dashboard_password", "dashboard_reader_password")
    @classmethod
    def _is_no_short_password(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_PASSWORD:
            raise ValueError(f"is shorter than {SHORTEST_PASSWORD} characters")
        return value

    @field_validator("open_sessions_by_tier")
    @classmethod
    def _limits_tiers(cls, value: str) -> str:
        tiers = [tier for tier, _ in _limits(value)]
        if len(tiers) != len(set(tiers)) or len(tiers) != len([part for part in value.split(",") if part.strip()]):
            raise ValueError("must be tiers, each once, with their number of sessions: free=1,starter=5,pro=10")
        return value

    @field_validator("path_prefix")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        prefix = value.strip().rstrip("/")
        if prefix and not re.fullmatch(r"(/(?!\.+(?:/|$))[A-Za-z0-9._~-]+)+", prefix):
            raise ValueError("must be a path, such as /jobs-of-mine")
        return prefix

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        try:
            for one in value.split(",") if value.strip() not in ("", "*") else ():
                ip_network(one.strip())
        except ValueError:
            raise ValueError("must be addresses or networks, such as 127.0.0.1,10.0.0.0/8, or *") from None
        return value

    @property
    def tiers(self) -> dict[str, int]:
        """Tier → the coding sessions that a user of it may have open."""
        return dict(_limits(self.open_sessions_by_tier))

    @property
    def pages_host(self) -> str:
        """Where the pages can be reached: on the public port, unless they have a port of their own."""
        return self.bind_host if self.admin_port is None else self.admin_bind_host or self.bind_host

    @property
    def jwks_url(self) -> str | None:
        """Where the project publishes the keys of its users' tokens: as set, else the usual place if no secret is."""
        if self.supabase_jwks_url is not None or self.supabase_jwt_secret is not None:
            return self.supabase_jwks_url
        project = re.fullmatch(r"(https?://[A-Za-z0-9.:\[\]-]+)/?", self.supabase_url or "")
        return project[1] + _JWKS_PATH if project else None


def _limits(value: str) -> list[tuple[str, int]]:
    found = [_TIER.fullmatch("".join(part.split())) for part in value.split(",")]
    return [(limit[1], int(limit[2])) for limit in found if limit]
