"""Values of settings with a unit."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def _milliseconds(value: Any) -> Any:
    """Accept 30s, 500ms and 5m as well as a plain number of milliseconds."""
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d{1,12})\s*(ms|s|m|h)\s*", value)):
        return int(match[1]) * _UNITS[match[2]]
    return value


Milliseconds = Annotated[int, BeforeValidator(_milliseconds), Field(ge=1, le=86_400_000)]
