"""What the bridge's statements use of its schema: read from their texts, and from the bodies of what they call."""

import re
from collections import defaultdict
from collections.abc import Iterable

from bridge.postgres.statements import statements
from tests.support.rows import Rows

_CALL = re.compile(r"\bpublic\.(\w+)\s*\(")
_READ = re.compile(r"\b(?:FROM|JOIN|USING)\s+(?:ONLY\s+)?public\.(\w+)\b(?!\s*\()")
_INSERT = re.compile(r"\bINSERT\s+INTO\s+public\.(\w+)")
_UPSERT = re.compile(
    r"\bINSERT\s+INTO\s+public\.(\w+)(?:(?!\bINSERT\s+INTO\b|;).)*?\bON\s+CONFLICT\b[^;]*?\bDO\s+(UPDATE|NOTHING)",
    re.DOTALL,
)
_UPDATE = re.compile(r"\bUPDATE\s+(?:ONLY\s+)?public\.(\w+)")
_DELETE = re.compile(r"\bDELETE\s+FROM\s+(?:ONLY\s+)?public\.(\w+)")
_LOCKED = re.compile(
    r"\bFROM\s+public\.(\w+)(?:(?!\bFROM\b).)*?\bFOR\s+(?:NO\s+KEY\s+|KEY\s+)?(?:UPDATE|SHARE)\b", re.DOTALL
)
_DRAWN = re.compile(r"nextval\('public\.(\w+)'")
_NEVER_CALLED = {"guard_job", "mobvibe_close_rights"}  # named in texts for operators


class UsedRights:
    """`functions` that are called; `relations`: table or sequence → rights.

    What a function does as its owner (SECURITY DEFINER) is not counted. Functions of triggers are: the role that fires
    them needs what they do, but no right to call them.
    """

    def __init__(self, rows: Rows) -> None:
        known = {
            row["proname"]: row
            for row in rows.all(
                "SELECT p.proname, p.prosecdef, p.prorettype = 'trigger'::regtype AS fires,"
                " p.prosrc || coalesce(pg_get_function_sqlbody(p.oid), '') AS body"
                " FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace"
            )
        }
        bodies = [*statements().values(), *_called_by_tables(rows)]
        bodies += [row["body"] for row in known.values() if row["fires"] and not row["prosecdef"]]
        self.functions: set[str] = set()
        self.relations: dict[str, set[str]] = defaultdict(set)
        while bodies:
            text = re.sub(r"--[^\n]*", "", bodies.pop())
            self._note(text)
            for name in set(_CALL.findall(text)) & set(known) - self.functions - _NEVER_CALLED:
                self.functions.add(name)
                if not known[name]["prosecdef"]:
                    bodies.append(known[name]["body"])

    def _note(self, text: str) -> None:
        for right, pattern in {"SELECT": _READ, "INSERT": _INSERT, "UPDATE": _UPDATE, "DELETE": _DELETE}.items():
            self._add(right, pattern.findall(text))
        self._add("UPDATE", _LOCKED.findall(text))
        for table, action in _UPSERT.findall(text):
            self._add("SELECT", [table])
            if action == "UPDATE":
                self._add("UPDATE", [table])
        self._add("USAGE", _DRAWN.findall(text))

    def _add(self, right: str, names: Iterable[str]) -> None:
        for name in names:
            self.relations[name].add(right)


def _called_by_tables(rows: Rows) -> list[str]:
    """Expressions that a writing role evaluates: defaults, checks and indexes."""
    found = rows.all(
        "SELECT pg_get_expr(d.adbin, d.adrelid) AS text FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid"
        " WHERE c.relnamespace = 'public'::regnamespace"
        " UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " UNION ALL SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c"
        " WHERE c.connamespace = 'public'::regnamespace AND c.contype = 'c'"
    )
    return [re.sub(r"'(\w+_seq)'::regclass", r"'public.\1'", str(row["text"])) for row in found]
