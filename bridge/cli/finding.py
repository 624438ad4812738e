"""A finding of the doctor: one line, and the fix when there is something to do."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""
