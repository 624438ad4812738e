"""How times, durations, what a terminal printed and diffs are shown in templates."""

from datetime import UTC, datetime, timedelta

from flask import Flask
from markupsafe import Markup

from bridge.web.diff_text import diffed
from bridge.web.terminal_text import coloured, last_style

_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))  # seconds of each unit, the largest first
_PRECISE_SECONDS = 10  # below it a whole second is a large part


def install(app: Flask) -> None:
    app.add_template_filter(ago)
    app.add_template_filter(lasted)
    app.add_template_filter(duration)
    app.add_template_filter(coloured)
    app.add_template_filter(last_style)
    app.add_template_filter(diffed)


def ago(at: datetime | None, now: datetime | None = None) -> Markup:
    """A time as `3 min ago`, or `in 3 min`; the exact one in UTC stands behind it. Empty for None."""
    if at is None:
        return Markup("")
    exact = at.astimezone(UTC)
    passed = (now or datetime.now(UTC)) - exact
    future = passed < timedelta(0)
    text = f"in {lasted(-passed)}" if future else f"{lasted(passed)} ago"
    whole = exact.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(whole, text)


def duration(seconds: float | None) -> str:
    """Of seconds: `340 ms`, `2.4 s`, from ten seconds on as `lasted`; a dash for None."""
    if seconds is not None and 1 <= seconds < _PRECISE_SECONDS:
        return f"{seconds:.1f} s"
    return "–" if seconds is None else lasted(timedelta(seconds=seconds))  # noqa: RUF001 -- as tables have it


def lasted(duration: timedelta) -> str:
    """A duration in its largest unit: `2 h`, `340 ms`."""
    seconds = duration.total_seconds()
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds * 1000)} ms"
