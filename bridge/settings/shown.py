"""The settings as people may see them, without their secrets, and where each comes from."""

import os

from dotenv import dotenv_values

from bridge.addresses import mask_address
from bridge.settings.settings import Settings

_OF_OTHERS = ("honcho_process_name", "platform_mark")  # variables of honcho and of platforms
_IMPLIED = {"turn_timeout_ms": "JOB_TIMEOUT_MS", "bind_host": "PORT"}


def shown_settings(settings: Settings) -> dict[str, str | int | None]:
    """Each setting in effect, by its variable's name. Passwords are masked."""
    shown: dict[str, str | int | None] = {}
    for name, value in settings:
        secret = value.get_secret_value() if hasattr(value, "get_secret_value") else None
        if name in ("database_url", "listen_database_url", "owners_database_url", "redis_url"):
            shown[name.upper()] = mask_address(secret) if secret else None
        elif name == "supabase_jwks_url" and value:
            address, mark, _ = value.partition("?")
            shown[name.upper()] = address + (mark and "?***")  # some gateways take their key there
        elif name not in _OF_OTHERS:
            shown[name.upper()] = "***" if secret else value if isinstance(value, int | None) else str(value)
    return shown | {"effective HTTP port": settings.http_port}


def origins(settings: Settings) -> dict[str, str]:
    """Where each value comes from: environment, .env, mobvibe up (its running stores) or default.

    A secret that comes from a file is named with its variable: environment, DATABASE_URL_FILE.
    """
    in_file = {name for name, value in dotenv_values(".env").items() if value}
    return {name.upper(): _origin(name, settings, in_file) for name in Settings.model_fields}


def _origin(name: str, settings: Settings, in_file: set[str]) -> str:
    if name not in settings.model_fields_set:
        return "default"
    given = [name.upper(), *(["APP_ENV"] if name == "node_env" else [])]
    for place, is_set in (("environment", os.environ.get), (".env", in_file.__contains__)):
        if any(is_set(one) for one in given):
            return place
        if is_set(f"{name.upper()}_FILE"):
            return f"{place}, {name.upper()}_FILE"
    return _IMPLIED.get(name, "mobvibe up")
