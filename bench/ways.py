"""All ways that README and docs show to insert a job and to run workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import DRAMATIQ, RUN, TWO_BY_EIGHT

PROCFILE = Path(__file__).parents[1] / "Procfile"


@dataclass(frozen=True)
class Inserting:
    """`shown` is how the documents write it, empty for what the others are compared with.

    `fills`: it can put many jobs into one transaction. `trickles`: it can insert one job at a moment.
    """

    words: str
    shown: str
    fills: bool = False
    trickles: bool = False


@dataclass(frozen=True)
class Working:
    shown: str
    commands: tuple[tuple[str, ...], ...]


# The keys are those of the functions in apps/ways_app.py.
INSERTING: Mapping[str, Inserting] = {
    "named": Inserting("the queue named", "", fills=True, trickles=True),
    "plain_sql": Inserting(
        "`INSERT … VALUES`", "INSERT INTO coding_jobs (actor, payload) VALUES", fills=True, trickles=True
    ),
    "enqueue": Inserting("`enqueue()`", "enqueue(", fills=True, trickles=True),
    "send": Inserting("`.send()`", ".send()", trickles=True),
    "many_rows": Inserting("`INSERT … SELECT`", "INSERT INTO coding_jobs (actor, payload) SELECT", fills=True),
    "copy": Inserting("`COPY`", "COPY coding_jobs (actor, payload) FROM STDIN", fills=True),
    "endpoint": Inserting("the start endpoint", "POST /functions/v1/start-coding-session", trickles=True),
    "command": Inserting("`mobvibe jobs send`", "mobvibe jobs send"),
}  # fmt: skip
WORKING: Mapping[str, Working] = {
    "dramatiq": Working("dramatiq actors", (RUN, (DRAMATIQ, "bridge_app", *TWO_BY_EIGHT))),
    "worker": Working("mobvibe worker", (RUN, ("{bin}/mobvibe", "worker"))),
    "honcho": Working("honcho start", (("{bin}/honcho", "-f", str(PROCFILE), "start"),)),
}
