"""The settings as people may see them, without their secrets, and where each comes from."""

import os

from bridge.addresses import mask_address
from bridge.settings.names import names_in_env_file
from bridge.settings.settings import Settings


def shown_settings(settings: Settings) -> dict[str, str | int | None]:
    """Each setting in effect, by its variable's name. Passwords are masked."""
    shown: dict[str, str | int | None] = {}
    for name, value in settings:
        secret = value.get_secret_value() if hasattr(value, "get_secret_value") else None
        if name in ("database_url", "redis_url"):
            shown[name.upper()] = mask_address(secret) if secret else None
        elif name != "honcho_process_name":
            shown[name.upper()] = "***" if secret else value if isinstance(value, int | None) else str(value)
    return shown | {"effective HTTP port": settings.http_port}


def origins(settings: Settings) -> dict[str, str]:
    """Where each value comes from: environment, .env, mobvibe up (its running stores) or default."""
    in_file = set(names_in_env_file())
    return {name.upper(): _origin(name, settings, in_file) for name in Settings.model_fields}


def _origin(name: str, settings: Settings, in_file: set[str]) -> str:
    given = {name.upper()} | ({"APP_ENV"} if name == "node_env" else set())
    if any(os.environ.get(one) for one in given):
        return "environment"
    if given & in_file and name in settings.model_fields_set:
        return ".env"
    return "mobvibe up" if name in settings.model_fields_set else "default"
