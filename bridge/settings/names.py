"""The names that are set, and those among them that are no settings: for a warning that says what was meant."""

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from bridge.settings.settings import Settings

# Variables of the Node worker that have no effect here. A warning names them, for users who move with its environment.
_NOT_READ = {
    "JOB_TIMEOUT_MS": "a time limit is its actor's, @actor(time_limit=…), and a coding session's SANDBOX_TIMEOUT_MS",
    "LOG_PRETTY": "set LOG_FORMAT=pretty or LOG_FORMAT=json",
    "WORKER_ID": "each worker process has an id of its own, and its name is host:pid",
}


def names_not_read(names: Iterable[str]) -> list[tuple[str, str]]:
    """(name, what to do instead) for variables of the Node worker that have no effect here."""
    return [(name, _NOT_READ[name]) for name in sorted(set(names) & set(_NOT_READ))]


def likely_typos(names: Iterable[str]) -> list[tuple[str, str]]:
    """(given, meant) for names that are not settings but similar to one, such as POLL_INTERVAL_SEC."""
    known = {name.upper() for name in Settings.model_fields} | {"APP_ENV"}
    close = (
        (name, difflib.get_close_matches(name, known, n=1, cutoff=0.8))
        for name in sorted(set(names) - known - set(_NOT_READ))
    )
    return [(name, match[0]) for name, match in close if match]


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
