"""The files of `sql/migrations`, what is in them, and which of them a database has."""

import re
from functools import cache
from importlib import resources
from pathlib import Path

_SECTION = re.compile(r"^-- \[(\w+)\]\n(.*?)^-- \[end\]$", re.MULTILINE | re.DOTALL)
_INDEX = re.compile(
    r"^ *CREATE (UNIQUE )?INDEX (?:IF NOT EXISTS )?(\w+)"
    r" ON (public\.(?:coding_jobs|coding_sessions|session_events) [^;]+);",
    re.MULTILINE,
)
_FUNCTION = re.compile(r"CREATE OR REPLACE FUNCTION public\.(\w+)")
# Names that MobVibe's databases had before, and whose functions are replaced.
ORIGINAL_FUNCTIONS = frozenset(
    {"claim_next_job", "complete_job", "fail_job", "get_queue_stats", "notify_new_job", "notify_job_status_change"}
)


def migration_files() -> list[Path]:
    folder = resources.files("bridge").joinpath("sql", "migrations")
    return sorted(Path(str(file)) for file in folder.iterdir() if file.name.endswith(".sql"))


@cache
def sections() -> dict[str, str]:
    """The steps that are taken beforehand on a table with rows, by their names in the files."""
    texts = [file.read_text("utf-8") for file in migration_files()]
    return {name: text for whole in texts for name, text in _SECTION.findall(whole)}


def indexes() -> dict[str, tuple[str, str]]:
    """Of tables that may be large: name → `UNIQUE ` or nothing, and `public.<table> (…) WHERE …`."""
    texts = [file.read_text("utf-8") for file in migration_files()]
    return {name: (unique, definition) for whole in texts for unique, name, definition in _INDEX.findall(whole)}


def private_functions() -> list[str]:
    """The names of the functions that only the bridge has."""
    texts = [file.read_text("utf-8") for file in migration_files()]
    return sorted({name for whole in texts for name in _FUNCTION.findall(whole)} - ORIGINAL_FUNCTIONS)
