"""What the doctor finds: one line each, and the fix where there is something to do."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""
