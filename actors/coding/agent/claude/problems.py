"""What went wrong with a request: whether another try may help, and one line about it that holds no key."""

import re
from dataclasses import dataclass
from typing import Any

_LONGEST = 300  # characters of the API's message: it may repeat the request
_ADVICE = {
    400: "the request does not suit it",
    401: "check ANTHROPIC_API_KEY",
    402: "check the account's credit",
    403: "check what ANTHROPIC_API_KEY may use",
    404: "check AGENT_MODEL and ANTHROPIC_BASE_URL",
    413: "the conversation is too large",
}
_MAY_PASS = {408, 409, 425, 429}  # and all from 500 on
_TYPES_THAT_PASS = {"api_error", "overloaded_error", "rate_limit_error", "timeout_error"}


@dataclass(eq=False)  # not frozen: an exception carries its traceback
class Problem(Exception):  # noqa: N818 -- each caller says what it makes of it
    """`retry_after`: seconds that the API asks to wait."""

    text: str
    may_pass: bool
    retry_after: float | None = None
    is_too_long: bool = False
    is_about_thinking: bool = False


def of_status(status: int, error: Any, headers: Any, secret: str) -> Problem:
    """An answer with an error status. `error`: its body, if that is JSON."""
    kind, message = _details(error)
    said = _one_line(f"{status} {kind}: {message}" if message else f"{status} {kind}", secret)
    lowered = message.lower()
    return Problem(
        text=f"the model's API answers {said}" + (f"; {_ADVICE[status]}" if status in _ADVICE else ""),
        may_pass=status in _MAY_PASS or status >= 500,  # noqa: PLR2004 -- errors of the server
        retry_after=_seconds(headers.get("retry-after")),
        is_too_long=status == 413 or (status == 400 and "too long" in lowered),  # noqa: PLR2004
        is_about_thinking=status == 400 and ("thinking" in lowered or "signature" in lowered),  # noqa: PLR2004
    )


def of_event(error: Any, secret: str) -> Problem:
    """An error event inside of a stream that began well."""
    kind, message = _details({"error": error})
    return Problem(_one_line(f"the model's API broke off with {kind}: {message}", secret), kind in _TYPES_THAT_PASS)


def of_link(error: Exception, secret: str) -> Problem:
    """The connection could not be made, was cut, or is silent."""
    return Problem(
        _one_line(f"the link to the model's API failed ({type(error).__name__}: {error})", secret), may_pass=True
    )


def _details(body: Any) -> tuple[str, str]:
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "error", str(body or "")
    return str(error.get("type") or "error"), str(error.get("message") or "")


def _one_line(text: str, secret: str) -> str:
    line = re.sub(r"\s+", " ", text.replace(secret, "***") if secret else text).strip()
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _seconds(value: str | None) -> float | None:
    return float(value) if value and re.fullmatch(r"\d{1,6}(\.\d+)?", value) else None
