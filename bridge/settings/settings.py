"""All settings. A process reads them once at its start and passes them on."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.addresses import check_address
from bridge.errors import SettingsError
from bridge.settings.redis_address import parse_redis_address, shares_a_slot
from bridge.settings.running_stores import find_running_stores
from bridge.settings.secret_files import SecretFilesSource
from bridge.settings.session_settings import SessionSettings
from bridge.settings.units import Milliseconds
from bridge.settings.web_settings import WebSettings

_DEVELOPMENT = "development"


class _RunningStoresSource(PydanticBaseSettingsSource):
    """The addresses of a running `mobvibe up` in this folder. Used last, and in development alone."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # pragma: no cover -- __call__ gives all values at once

    def __call__(self) -> dict[str, Any]:
        state = {name.lower(): value for name, value in self.current_state.items()}
        mode = str(state.get("node_env") or state.get("app_env") or _DEVELOPMENT)
        folder = Path(state.get("mobvibe_dir") or Settings.model_fields["mobvibe_dir"].default)
        stores = find_running_stores(folder) if mode.strip().lower() == _DEVELOPMENT else None
        if stores is None:
            return {}
        return {
            "database_url": stores.database_url,
            "redis_url": stores.redis_url,
            "supabase_jwt_secret": stores.supabase_jwt_secret,
            "health_check_port": stores.health_check_port,
        }


class Settings(WebSettings, SessionSettings):
    """All settings. The environment has priority over `.env`, and `.env` over a running `mobvibe up`.

    An empty variable counts as not set. Names that end in `_ms` are in milliseconds, and also accept `30s`.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True,
        hide_input_in_errors=True, populate_by_name=True,
    )  # fmt: skip

    database_url: SecretStr | None = None
    listen_database_url: SecretStr | None = None
    owners_database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    redis_namespace: str = Field(default="mobvibe", pattern=r"^[A-Za-z0-9_{}.-]+$")

    poll_interval_ms: Milliseconds = 10_000
    max_concurrent_jobs: int = Field(default=1, ge=1, le=1000)
    worker_processes: int = Field(default=1, ge=1, le=256)
    actors_module: str = Field(default="actors", pattern=r"^[A-Za-z_][\w.]*$")
    worker_id: str | None = Field(default=None, pattern=r"^[!-~]{1,100}$")
    job_timeout_ms: Milliseconds = 600_000  # Dramatiq's own default
    shutdown_timeout_ms: Milliseconds = 30_000
    lease_ms: Milliseconds = Field(default=30_000, ge=1000)
    monitor_interval_ms: Milliseconds = 30_000
    retention_days: int | None = Field(default=None, ge=1, le=36_500)

    log_level: Literal["trace", "debug", "info", "warn", "error", "fatal"] = "info"
    log_format: Literal["auto", "pretty", "json"] = "auto"
    log_pretty: bool | None = None
    node_env: str = Field(default=_DEVELOPMENT, validation_alias=AliasChoices("node_env", "app_env"))

    mobvibe_dir: Path = Path(".mobvibe")
    workspaces_dir: Path | None = None
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
        assert isinstance(env_settings, EnvSettingsSource)
        assert isinstance(dotenv_settings, EnvSettingsSource)
        return (
            init_settings,
            SecretFilesSource(settings_cls, env_settings),
            env_settings,
            SecretFilesSource(settings_cls, dotenv_settings),
            dotenv_settings,
            _RunningStoresSource(settings_cls),
        )

    @model_validator(mode="before")
    @classmethod
    def _time_turns_as_jobs(cls, given: dict[str, Any]) -> dict[str, Any]:
        """The Node worker's jobs were coding sessions: a JOB_TIMEOUT_MS is for these, too."""
        timeout = given.get("job_timeout_ms")
        return {"turn_timeout_ms": timeout} | given if timeout is not None and _is_valid(timeout) else given

    @field_validator("log_level", "log_format", "node_env", "agent", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("database_url", "listen_database_url", "owners_database_url")
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
            parse_redis_address(value.get_secret_value())
        return value

    @property
    def is_production(self) -> bool:
        """All but development: what is open there to whoever comes is closed in `staging` and `test`, too."""
        return self.node_env != _DEVELOPMENT

    @property
    def logs_are_pretty(self) -> bool:
        if self.log_format != "auto":
            return self.log_format == "pretty"
        return not self.is_production if self.log_pretty is None else self.log_pretty

    @property
    def under_honcho(self) -> bool:
        return self.honcho_process_name is not None

    @property
    def http_port(self) -> int:
        """HEALTH_CHECK_PORT, else PORT, else 8080; where a platform routes to PORT alone, that comes first.

        Ignores the PORT that honcho sets, which differs for each of its processes.
        """
        port = None if self.under_honcho else self.port
        first, second = (port, self.health_check_port) if self.platform_mark else (self.health_check_port, port)
        return first or second or 8080

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

    def session_dsn(self) -> str:
        """The address for LISTEN and for locks of a session: LISTEN_DATABASE_URL, else DATABASE_URL."""
        return self.postgres_dsn() if self.listen_database_url is None else self.listen_database_url.get_secret_value()

    def owners_dsn(self) -> str:
        """The address for migrations: OWNERS_DATABASE_URL, else DATABASE_URL."""
        return self.postgres_dsn() if self.owners_database_url is None else self.owners_database_url.get_secret_value()

    def redis_address(self) -> str:
        """The address of Redis. Raises SettingsError, which says what to set, when it is missing."""
        if self.redis_url is None:
            raise SettingsError(_missing("REDIS_URL", "redis://host:6379/0"))
        address = self.redis_url.get_secret_value()
        if parse_redis_address(address).kind == "cluster" and not shares_a_slot(self.redis_namespace):
            raise SettingsError(
                "REDIS_URL is a cluster's, where all our keys must be in one slot: REDIS_NAMESPACE needs a part in "
                "braces, such as REDIS_NAMESPACE={mobvibe}"
            )
        return address


def _is_valid(milliseconds: Any) -> bool:
    try:
        TypeAdapter(Milliseconds).validate_python(milliseconds)
    except ValidationError:
        return False
    return True


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
    if problem["type"] == "bool_parsing":
        return f"{name} must be true or false"
    if problem["type"] == "string_pattern_mismatch" and name == "WORKER_ID":
        return f"{name} must be 1 to 100 characters of ASCII without blanks"
    if problem["type"] == "literal_error":
        return f"{name} must be one of {context['expected']}"
    bounds = Settings.model_fields[name.lower()].metadata if name.lower() in Settings.model_fields else []
    low = next((bound.ge for bound in bounds if hasattr(bound, "ge")), None)
    high = next((bound.le for bound in bounds if hasattr(bound, "le")), None)
    if low is not None and high is not None:
        return f"{name} must be a whole number from {low} to {high}"
    return f"{name} is malformed: {problem['msg']}"
