"""The names that are set, and those among them that are no settings: for a warning that says what was meant."""

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from bridge.settings.secret_files import secret_names
from bridge.settings.settings import Settings


def likely_typos(names: Iterable[str]) -> list[tuple[str, str]]:
    """(given, meant) for names that are not settings but similar to one, such as POLL_INTERVAL_SEC.

    Who mistypes a name begins it as it is: IS_SANDBOX is a variable of another program.
    """
    known = {name.upper() for name in Settings.model_fields} | {"APP_ENV"}
    known |= {f"{name.upper()}_FILE" for name in secret_names(Settings.model_fields)}
    close = ((name, difflib.get_close_matches(name, known, n=1, cutoff=0.8)) for name in sorted(set(names) - known))
    return [(name, match[0]) for name, match in close if match and match[0][0] == name[0]]


def given_names() -> list[str]:
    """The names set in the environment and in `.env`."""
    return list(os.environ) + names_in_env_file()


def names_in_env_file() -> list[str]:
    """The names set in `.env`; none if it cannot be read."""
    try:
        lines = Path(".env").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [match[1] for line in lines if (match := re.match(r"\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=", line))]
