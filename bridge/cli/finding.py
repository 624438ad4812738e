"""A finding of the doctor: one line, and the fix when there is something to do."""

from dataclasses import dataclass
from typing import Literal

STATEMENT_TIMEOUT_MS = 5_000  # of each question to Postgres: a person waits for the findings, and some may be slow


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""
