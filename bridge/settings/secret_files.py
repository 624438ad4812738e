"""Secrets from files: for each secret setting, NAME_FILE names a file that holds its value, as Docker secrets do."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from bridge.errors import SettingsError

_LONGEST = 65_536  # bytes: no secret is as long, and a wrong path may lead to a file of any size
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def secret_names(fields: Mapping[str, FieldInfo]) -> list[str]:
    """The settings among `fields` that are secrets."""
    return [name for name, field in fields.items() if SecretStr in (field.annotation, *get_args(field.annotation))]


class SecretFilesSource(PydanticBaseSettingsSource):
    """The files that `variables` name: the environment, or `.env`. Used before what the same source says itself."""

    def __init__(self, settings_cls: type[BaseSettings], variables: EnvSettingsSource) -> None:
        super().__init__(settings_cls)
        self._variables = variables

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # pragma: no cover -- __call__ gives all values at once

    def __call__(self) -> dict[str, Any]:
        """Raises SettingsError, which shows neither the path nor the content: a secret may be given as the path."""
        given = self._variables.env_vars
        settled = {name.lower() for name, value in self.current_state.items() if value}  # by a source that wins over it
        secrets = set(secret_names(self.settings_cls.model_fields)) - settled
        names = sorted(name for name in secrets if given.get(f"{name}_file"))
        for name in names:
            if given.get(name):
                raise SettingsError(f"{name.upper()} and {name.upper()}_FILE are both set: remove one of them")
        return {name: _read(f"{name.upper()}_FILE", Path(str(given[f"{name}_file"]))) for name in names}


def _read(variable: str, path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise SettingsError(f"{variable} does not name a file: it must be the path of a file with the secret alone")
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
        text = content.decode("utf-8-sig").rstrip("\r\n")  # editors of Windows begin a file with a mark
    except (OSError, ValueError) as error:
        raise SettingsError(f"{variable} names a file that cannot be read: {_reason(error)}") from None
    if not text.strip():
        raise SettingsError(f"{variable} names a file that is empty: write the secret into it")
    if len(content) > _LONGEST:
        raise SettingsError(f"{variable} names a file of more than 64 kB, which can be no secret")
    if _CONTROLS.search(text):  # a library that is to send it would show it in its error
        raise SettingsError(f"{variable} names a file of more than one line of text: it must hold the secret alone")
    return text


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return error.strerror or "unknown error"
    return "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "no file has such a path"
