"""All settings. A process reads them once at its start and passes them on."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.addresses import check_address, check_redis_details
from bridge.errors import SettingsError
from bridge.settings.running_stores import find_running_stores

SHORTEST_PASSWORD = 8  # characters: guessing a shorter one takes days, not years
SAMPLE_JWT_SECRET = "your-super-secret-jwt-token-with-at-least-32-characters-long"  # noqa: S105 -- the public sample, which is refused
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def _milliseconds(value: Any) -> Any:
    """Accept 30s, 500ms and 5m as well as a plain number of milliseconds."""
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d{1,12})\s*(ms|s|m|h)\s*", value)):
        return int(match[1]) * _UNITS[match[2]]
    return value


Milliseconds = Annotated[int, BeforeValidator(_milliseconds), Field(ge=1, le=86_400_000)]


class _RunningStoresSource(PydanticBaseSettingsSource):
    """The addresses of a running `mobvibe up` in this folder. Used last, and never in production."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # pragma: no cover -- __call__ gives all values at once

    def __call__(self) -> dict[str, Any]:
        state = {name.lower(): value for name, value in self.current_state.items()}
        mode = state.get("node_env") or state.get("app_env")
        folder = Path(state.get("mobvibe_dir") or Settings.model_fields["mobvibe_dir"].default)
        stores = None if str(mode).strip().lower() == "production" else find_running_stores(folder)
        if stores is None:
            return {}
        return {
            "database_url": stores.database_url,
            "redis_url": stores.redis_url,
            "supabase_jwt_secret": stores.supabase_jwt_secret,
            "health_check_port": stores.health_check_port,
        }


class Settings(BaseSettings):
    """All settings. The environment has priority over `.env`, and `.env` over a running `mobvibe up`.

    An empty variable counts as not set. Names that end in `_ms` are in milliseconds, and also accept `30s`.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True,
        hide_input_in_errors=True, populate_by_name=True,
    )  # fmt: skip

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    redis_namespace: str = Field(default="mobvibe", pattern=r"^[A-Za-z0-9_{}.-]+$")

    poll_interval_ms: Milliseconds = 10_000
    max_concurrent_jobs: int = Field(default=1, ge=1, le=1000)
    worker_processes: int = Field(default=1, ge=1, le=256)
    actors_module: str = Field(default="actors", pattern=r"^[A-Za-z_][\w.]*$")
    shutdown_timeout_ms: Milliseconds = 30_000
    lease_ms: Milliseconds = Field(default=30_000, ge=1000)
    monitor_interval_ms: Milliseconds = 30_000
    retention_days: int | None = Field(default=None, ge=1, le=36_500)

    health_check_port: int | None = Field(default=None, ge=1, le=65535)
    port: int | None = Field(default=None, ge=1, le=65535)
    bind_host: str = "127.0.0.1"
    web_database_connections: int = Field(default=8, ge=1, le=100)
    dashboard_user: str = Field(default="admin", min_length=1)
    dashboard_password: SecretStr | None = None
    dashboard_reader_password: SecretStr | None = None
    read_only: bool = False
    hide_prompts: bool = False
    open_sessions_per_user: int = Field(default=20, ge=1, le=100_000)
    path_prefix: str = ""

    log_level: Literal["trace", "debug", "info", "warn", "error", "fatal"] = "info"
    log_format: Literal["auto", "pretty", "json"] = "auto"
    node_env: Literal["development", "production"] = Field(
        default="development", validation_alias=AliasChoices("node_env", "app_env")
    )

    supabase_url: str | None = None
    supabase_service_role_key: SecretStr | None = None
    supabase_jwt_secret: SecretStr | None = None

    mobvibe_dir: Path = Path(".mobvibe")
    workspaces_dir: Path | None = None
    sandbox_timeout_ms: Milliseconds = 1_800_000
    sandbox_memory_mb: int = Field(default=512, ge=16, le=1_048_576)
    sandbox_processes: int = Field(default=64, ge=1, le=100_000)
    sandbox_file_mb: int = Field(default=100, ge=1, le=1_048_576)

    honcho_process_name: str | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- not offered
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, _RunningStoresSource(settings_cls)

    @field_validator("log_level", "log_format", "node_env", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _is_postgres_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_address(
                value.get_secret_value(), ("postgresql", "postgres"), "postgresql://user:password@host:5432/name"
            )
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_address(value.get_secret_value(), ("redis", "rediss", "unix"), "redis://:password@host:6379/0")
            check_redis_details(value.get_secret_value())
        return value

    @field_validator("supabase_jwt_secret")
    @classmethod
    def _is_a_real_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            if value.get_secret_value() == SAMPLE_JWT_SECRET:
                raise ValueError("is the sample text that everybody knows; use your project's own secret")
            if len(value.get_secret_value().encode()) < 32:  # noqa: PLR2004 -- the key size of HS256
                raise ValueError("is shorter than 32 bytes, which HS256 needs to be safe")
        return value

    @field_validator("dashboard_password", "dashboard_reader_password")
    @classmethod
    def _is_no_short_password(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_PASSWORD:
            raise ValueError(f"is shorter than {SHORTEST_PASSWORD} characters")
        return value

    @field_validator("path_prefix")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        prefix = value.strip().rstrip("/")
        if prefix and not re.fullmatch(r"(/(?!\.+(?:/|$))[A-Za-z0-9._~-]+)+", prefix):
            raise ValueError("must be a path, such as /jobs-of-mine")
        return prefix

    @property
    def is_production(self) -> bool:
        return self.node_env == "production"

    @property
    def under_honcho(self) -> bool:
        return self.honcho_process_name is not None

    @property
    def http_port(self) -> int:
        """HEALTH_CHECK_PORT, else the PORT that a platform sets, else 8080. Ignores the PORT that honcho sets."""
        platform_port = None if self.under_honcho else self.port
        return self.health_check_port or platform_port or 8080

    @property
    def lease_seconds(self) -> float:
        return self.lease_ms / 1000

    @property
    def grace_seconds(self) -> float:
        """How long running jobs may continue after a stop signal.

        honcho kills all processes 5 s after its signal, and this cannot be changed. Jobs that are handed back by then
        are safe, so under honcho the time is at most 1.5 s.
        """
        wanted = self.shutdown_timeout_ms / 1000
        return min(wanted, 1.5) if self.under_honcho else wanted

    @property
    def retention(self) -> timedelta | None:
        """How long finished jobs are kept. None: they are never deleted."""
        return None if self.retention_days is None else timedelta(days=self.retention_days)

    @property
    def workspaces(self) -> Path:
        return self.workspaces_dir or self.mobvibe_dir / "workspaces"

    def check_store_addresses(self) -> None:
        """Raise SettingsError, which says what to set, when the address of a store is missing."""
        self.postgres_dsn()
        self.redis_address()

    def postgres_dsn(self) -> str:
        """The address of Postgres. Raises SettingsError, which says what to set, when it is missing."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        if self.supabase_url:
            raise SettingsError(
                "DATABASE_URL is missing: SUPABASE_URL is the REST address, the queue needs Postgres itself. "
                "Copy it from the Supabase dashboard: Connect, Session pooler (port 5432)."
                + ("" if self.redis_url is not None else " REDIS_URL is missing, too (redis://host:6379/0).")
            )
        too = "" if self.redis_url is not None else ". REDIS_URL is missing, too (redis://host:6379/0)"
        raise SettingsError(_missing("DATABASE_URL", "postgresql://user:password@host:5432/name") + too)

    def redis_address(self) -> str:
        """The address of Redis. Raises SettingsError, which says what to set, when it is missing."""
        if self.redis_url is not None:
            return self.redis_url.get_secret_value()
        raise SettingsError(_missing("REDIS_URL", "redis://host:6379/0"))


def _missing(name: str, example: str) -> str:
    return (
        f"{name} is missing: set it in the environment or in .env ({example}), "
        "or start both stores in this folder with: mobvibe up"
    )


def load_settings(**overrides: Any) -> Settings:
    """Read all settings. Raises SettingsError: one line that names each bad variable, and never shows its value."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(problem) for problem in error.errors())) from None
    except UnicodeDecodeError:
        raise SettingsError(".env is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise SettingsError(f".env cannot be read: {error.strerror}") from None


def _explain(problem: Any) -> str:
    name = str(problem["loc"][0]).upper()
    context = problem.get("ctx", {})
    if problem["type"] == "value_error":
        return f"{name} {context['error']}"
    if problem["type"] == "literal_error":
        return f"{name} must be one of {context['expected']}"
    bounds = Settings.model_fields[name.lower()].metadata if name.lower() in Settings.model_fields else []
    low = next((bound.ge for bound in bounds if hasattr(bound, "ge")), None)
    high = next((bound.le for bound in bounds if hasattr(bound, "le")), None)
    if low is not None and high is not None:
        return f"{name} must be a whole number from {low} to {high}"
    return f"{name} is malformed: {problem['msg']}"
