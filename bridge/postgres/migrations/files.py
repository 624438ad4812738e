"""The migrations in `sql/`: which there are, in what order, and what is in them.

The order is rights, functions that indexes call, tables, other functions, triggers, the version: a function can only be
made after the tables it reads, an index or a trigger after the function it calls.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from bridge.postgres.startup_checks import SCHEMA_VERSION

_SECTION = re.compile(r"^-- \[(\w+)\]\n(.*?)^-- \[end\]$", re.MULTILINE | re.DOTALL)
_INDEX = re.compile(
    r"^ *CREATE (UNIQUE )?INDEX (?:IF NOT EXISTS )?(\w+)"
    r" ON (public\.(?:coding_jobs|coding_sessions|session_events|job_attempts) [^;]+);",
    re.MULTILINE,
)
_FUNCTION = re.compile(r"CREATE OR REPLACE FUNCTION public\.(\w+)")
# Functions that MobVibe's databases had before. They are replaced.
ORIGINAL_FUNCTIONS = frozenset(
    {"claim_next_job", "complete_job", "fail_job", "get_queue_stats", "notify_new_job", "notify_job_status_change"}
)
_OF_THE_HOST = frozenset({"may_choose_actor"})  # `migrate down` keeps it, for it holds grants that the host has made
_FIRST_VERSION = 12  # of a schema whose tables are known; below it every step runs, and skips what exists
_CLOSE_RIGHTS = "\nDO $do$ BEGIN PERFORM public.mobvibe_close_rights(); END $do$;\n"


@dataclass(frozen=True, slots=True)
class Migration:
    """One transaction, safe to run twice. A schema of `version` or later has it."""

    name: str
    version: int
    text: str


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations in order.

    Tables are changed in numbered steps that run once: from the second release on a step's number is the version of the
    schema that it makes. The rest has one text each, and every upgrade applies it again. All functions are replaced in
    one transaction, and each trigger in one with the function that it calls, which would fail under the old trigger.
    """
    functions = "\n".join(_texts("functions").values())
    planner = "\n" + _read(_folder() / "planner_settings.sql")
    return (
        # What the database had before is written down in the transaction of the first change.
        _renewed("rights", _read(_folder() / "adoption.sql") + "\n" + _read(_folder() / "rights.sql")),
        _renewed("indexed_functions", _read(_folder() / "indexed_functions.sql")),
        *(Migration(name, _made_by(name), text + _CLOSE_RIGHTS) for name, text in _texts("tables").items()),
        _renewed("functions", functions + planner),
        *(_renewed(f"triggers/{name}", text + planner) for name, text in _texts("triggers").items()),
        _renewed("version", _read(_folder() / "version.sql")),
    )


def pending(version: int) -> list[Migration]:
    """The migrations that a database needs whose schema has this version; 0: it has no schema."""
    return [migration for migration in migrations() if migration.version > version]


@cache
def way_back() -> dict[str, str]:
    """Name → text of the steps of `migrate down`, each one transaction, in their order. The last drops data."""
    steps = _texts("down")
    names = ", ".join(f"'{name}'" for name in private_functions() if name not in _OF_THE_HOST)
    steps["0004_functions"] = steps["0004_functions"].replace("'functions'", names)
    return steps


@cache
def sections() -> dict[str, str]:
    """Name → text of the steps that are done beforehand on a table with rows."""
    texts = [one.text for one in migrations()] + list(way_back().values())
    return {name: text for one in texts for name, text in _SECTION.findall(one)}


def indexes() -> dict[str, tuple[str, str]]:
    """Indexes of tables that may be large: name → `UNIQUE ` or nothing, and `public.<table> (…) WHERE …`."""
    return {name: (unique, definition) for one in migrations() for unique, name, definition in _INDEX.findall(one.text)}


def host_indexes() -> dict[str, str]:
    """The bridge's indexes on tables that a MobVibe database has without it: name → table."""
    tables = {name: definition.split(" ")[0].removeprefix("public.") for name, (_, definition) in indexes().items()}
    return {name: table for name, table in tables.items() if table != "job_attempts"}


def private_functions() -> list[str]:
    """The names of the functions that only the bridge may call."""
    return sorted({name for one in migrations() for name in _FUNCTION.findall(one.text)} - ORIGINAL_FUNCTIONS)


def _renewed(name: str, text: str) -> Migration:
    return Migration(name, SCHEMA_VERSION, text + _CLOSE_RIGHTS)


def _made_by(name: str) -> int:
    return max(int(name.partition("_")[0]), _FIRST_VERSION)


def _texts(folder: str) -> dict[str, str]:
    """File name without its ending → text, sorted by name: an SQL function must come after those that it calls."""
    files = sorted((_folder() / folder).iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".sql"): _read(file) for file in files if file.name.endswith(".sql")}


def _folder() -> Traversable:
    return resources.files("bridge").joinpath("sql")


def _read(file: Traversable) -> str:
    return file.read_text("utf-8")
